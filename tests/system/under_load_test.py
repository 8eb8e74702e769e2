"""Releases that do not come through, and deploys that meet each other, while the live release and
a neighbour are asked without a pause: not one of their requests fails."""

import threading

import admin_api
import apps
import pytest
from load import EVERY_KIND, NEW_SOURCE, SOURCE, Load, one_by_one, pipelined
from waiting import wait_until
from walk import last_release

SETTINGS = {"workers": {"boot_timeout": "3s"}, "limits": {"wall": "2s"}}
APP = "demo/served"
NEIGHBOUR = "other/neighbour"
SLOW_CHECK = '\n[[check]]\npath = "/"\ntime = "300ms"\n'

# What a release does wrong: its module, the code that it is rejected with, more of its manifest.
REJECTED = {
    "syntax": ("def application(:\n", "syntax_error", ""),
    "import": ("import nothing_of_this_name\n" + SOURCE, "import_error", ""),
    "callable": ("x = 1\n", "entry_missing", ""),
    "endless-import": ("while True: pass\n", "boot_timeout", ""),
    "exit-at-import": ("import os\nos._exit(0)\n", "worker_died", ""),
    "memory-at-import": ("x = bytearray(1 << 34)\n" + SOURCE, "memory_exceeded", ""),
    "raises": ("def application(e, s): raise ValueError('no')\n", "check_failed", ""),
    "dies-in-check": ("import os\ndef application(e, s): os._exit(1)\n", "check_worker_died", ""),
    "bad-header": (
        "def application(e, s):\n    s('200 OK', [('X', 'a\\nb')])\n    return [b'']\n",
        "check_failed",
        "",
    ),
    "short-body": (
        "def application(e, s):\n    s('200 OK', [('Content-Length', '9')])\n    return [b'x']\n",
        "check_failed",
        "",
    ),
    "long-body": (
        "def application(e, s):\n    s('200 OK', [('Content-Length', '1')])\n    return [b'xyz']\n",
        "check_failed",
        "",
    ),
    "check-hangs": (
        "def application(e, s):\n    while True: pass\n",
        "check_timeout",
        SLOW_CHECK,
    ),
    "check-redirects": (
        "def application(e, s):\n"
        "    s('302 Found', [('Location', '/'), ('Content-Length', '0')])\n    return []\n",
        "check_failed",
        '\n[[check]]\npath = "/"\nstatus = 200\n',
    ),
    "check-10-gb": (
        "def application(e, s):\n    s('200 OK', [])\n"
        "    return (bytes(1 << 20) for _ in range(10 << 10))\n",
        "check_too_large",
        "",
    ),
}

BREAKS = """
import os

def application(environ, start_response):
    if environ["PATH_INFO"] == "/health":
        return good(environ, start_response)
    os._exit(1)
"""


@pytest.fixture(scope="module")
def served(node, tmp_path_factory):
    for app in (APP, NEIGHBOUR):
        node.deploy(apps.write_app(tmp_path_factory.mktemp("app"), SOURCE), app)
    return node


@pytest.fixture
def load(served):
    with Load(served, APP, EVERY_KIND) as load, Load(served, NEIGHBOUR, [one_by_one]) as neighbour:
        load.wait_for_more(100)
        yield load
        load.wait_for_more(100)
        neighbour.wait_for_more(10)
    assert not load.problems and not neighbour.problems


def test_a_swap_loses_nothing_and_nothing_is_stale(served, tmp_path):
    app = "demo/swapped"
    served.deploy(apps.write_app(tmp_path / "1", SOURCE), app)
    second = apps.write_app(tmp_path / "2", NEW_SOURCE, "2.0.0")
    with Load(served, app, EVERY_KIND) as load, Load(served, NEIGHBOUR, [one_by_one]) as neighbour:
        load.wait_for_more()
        served.deploy(second, app)
        wait_until(lambda: load.new_seen, "the new release answers")
        load.wait_for_more()
    assert not load.problems and not neighbour.problems


@pytest.mark.parametrize("what", REJECTED)
def test_a_release_that_is_rejected(served, load, tmp_path, what):
    source, code, extra = REJECTED[what]
    folder = apps.write_app(tmp_path, source, "2.0.0", extra=extra)
    refused = served.deploy(folder, APP, check=False)
    assert (refused.returncode, f"error[{code}]" in refused.stderr) == (3, True), refused.stderr
    assert last_release(served, APP)["state"] == "rejected"
    assert load.new_seen is None


def test_a_release_that_is_refused(served, load, tmp_path):
    manifest = admin_api.MANIFEST.replace(b"1.0.0", b"2.0.0")
    own = admin_api.row("cloister.toml", manifest)
    admin_api.send_contents(served, "demo", manifest, b"")
    admin_api.send_contents(served, "other", b"of the neighbour")
    for rows, status, code in (
        ([admin_api.row("../main.py", b"")], 422, "bundle_refused"),
        ([admin_api.row("main.py", b""), admin_api.row("main.py", b"")], 422, "bundle_refused"),
        ([admin_api.row("main.py", b"", size=10 << 30)], 422, "bundle_too_large"),
        ([admin_api.row("main.py", b"of the neighbour")], 409, "contents_missing"),
    ):
        answer = admin_api.send_release(served, APP, [own, *rows])
        admin_api.assert_problem(answer, status, code)
    unknown_key = apps.write_app(tmp_path, SOURCE, "2.0.0", extra="\n[limts]\nmemory = 1\n")
    refused = served.deploy(unknown_key, APP, check=False)
    assert refused.returncode == 3 and "limits" in refused.stderr


def test_two_deploys_at_once(served, load, tmp_path):
    """One goes on, the other is told so; the same one again is the same one."""
    slow = "import time\ntime.sleep(0.5)\n" + SOURCE
    first = apps.write_app(tmp_path / "first", slow, "5.0.0")
    second = apps.write_app(tmp_path / "second", SOURCE, "6.0.0")
    ended = []
    deploys = [
        threading.Thread(target=lambda: ended.append(served.deploy(first, APP, check=False)))
        for _ in range(2)
    ]
    for deploy in deploys:
        deploy.start()
    wait_until(lambda: last_release(served, APP)["version"] == "5.0.0", "the deploy is under way")
    other = served.deploy(second, APP, check=False)
    assert other.returncode == 1 and "deploy_in_progress" in other.stderr, other.stderr
    for deploy in deploys:
        deploy.join()
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    assert last_release(served, APP)["attempt"] == 1

    # And a deploy during a rollback: 5.0.0 takes its time to boot.
    served.deploy(second, APP)
    rollback = threading.Thread(target=lambda: ended.append(served.cli("rollback", APP)))
    rollback.start()
    third = apps.write_app(tmp_path / "third", SOURCE, "7.0.0")
    wait_until(
        lambda: any(row["under_way"] for row in served.json("releases", APP)["releases"]),
        "the rollback is under way",
    )
    other = served.deploy(third, APP, check=False)
    rollback.join()
    assert other.returncode == 1 and "deploy_in_progress" in other.stderr, other.stderr
    assert ended[-1].returncode == 0
    rows = served.json("releases", APP)["releases"]
    live = [row["version"] for row in rows if row["state"] == "live"]
    assert live == ["5.0.0"]


def test_an_app_that_breaks_on_its_first_real_request(served, tmp_path):
    """It comes through its checks. It is slowed down, its state says so, one command goes back; its
    neighbour does not notice."""
    app = "demo/breaks"
    check = '\n[[check]]\npath = "/health"\n'
    good = SOURCE.replace("old!", "good")
    breaks = BREAKS + NEW_SOURCE.replace("def application", "def good")
    served.deploy(apps.write_app(tmp_path / "1", good, extra=check), app)
    with Load(served, NEIGHBOUR, [one_by_one, pipelined]) as neighbour:
        served.deploy(apps.write_app(tmp_path / "2", breaks, "2.0.0", extra=check), app)

        def is_slowed_down():
            assert served.http(app).status in (502, 503)
            rows = served.json("releases", app)["releases"]
            return rows[0].get("backing_off_ms", 0) > 0

        wait_until(is_slowed_down, "the app's workers are started less and less often")
        assert f"cloister rollback {app}" in served.cli("releases", app).stdout + (
            served.cli("releases", app).stderr
        )
        said = "".join(event["text"] for event in served.events(app))
        assert f"`cloister rollback {app}` goes back" in said
        served.cli("rollback", app)
        assert served.http(app).body == b"good"
        neighbour.wait_for_more(100)
    assert not neighbour.problems
