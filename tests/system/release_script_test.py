"""[entry] release: what brings an app's data forward, before the release goes live."""

import os
import signal
import subprocess

import apps
import pytest
from waiting import wait_until
from walk import last_release

# Data that outlives a release: the cache will do. Each run of a script is counted there.
SCRIPT = """
import sys
from cloister import cache

def run():
    print("the script of {version} runs")
    {what}
    cache.incr("runs of {version}", initial=1)
"""
APP = """
from cloister import cache

def application(environ, start_response):
    key = environ["PATH_INFO"][1:].replace("%20", " ")
    body = cache.get(key or "none") or b"never"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def write(folder, version, what="pass", entry="bring:run", extra=""):
    files = {"bring.py": SCRIPT.format(version=version, what=what)}
    folder = apps.write_app(folder, APP, version, files=files, extra=extra)
    manifest = folder / "cloister.toml"
    manifest.write_text(manifest.read_text().replace("[entry]", f'[entry]\nrelease = "{entry}"'))
    return folder


def runs(node, app, version):
    return node.http(app, f"/runs%20of%20{version}").body.decode()


def test_it_runs_on_the_overlay_then_once_for_good(node, tmp_path):
    app = "demo/forward"
    node.wait_cache()
    check = '\n[[check]]\npath = "/runs%20of%201.0.0"\ncontains = "1"\n'
    done = node.deploy(write(tmp_path / "1", "1.0.0", extra=check), app)
    assert "release script" in done.stdout
    assert runs(node, app, "1.0.0") == "1"
    said = [e.get("check", False) for e in node.events(app) if "runs" in (e.get("text") or "")]
    assert sorted(said) == [False, True]


def test_it_does_not_run_for_a_check_a_rollback_or_the_config(node, tmp_path):
    app = "demo/steady"
    node.wait_cache()
    node.deploy(write(tmp_path / "1", "1.0.0"), app)
    node.cli("check", write(tmp_path / "2", "2.0.0"), "--app", app)
    assert runs(node, app, "2.0.0") == "never"
    node.cli("promote", app, "2.0.0")
    assert runs(node, app, "2.0.0") == "1"
    node.cli("rollback", app)
    node.cli("config", "set", app, "COLOUR=red")
    assert runs(node, app, "1.0.0") == "1"
    node.cli("promote", app, "2.0.0")
    assert runs(node, app, "2.0.0") == "2", "forward again: what it finds may have gone back"


def test_a_canary_runs_it_before_it_gets_its_share(node, tmp_path):
    app = "demo/share"
    node.wait_cache()
    node.deploy(write(tmp_path / "1", "1.0.0"), app)
    node.deploy(write(tmp_path / "2", "2.0.0"), app, arguments=["--canary", "50%"])
    assert runs(node, app, "2.0.0") == "1"
    node.cli("promote", app, "2.0.0")
    assert runs(node, app, "2.0.0") == "1"


@pytest.mark.parametrize(
    "what, code, message, line",
    [
        ("raise KeyError('no such column')", "release_failed", "no such column", 7),
        ("sys.exit(3)", "release_failed", "ended with 3", 7),
        ("import os; os._exit(0)", "release_failed", "worker ended", 0),
        ("import absent", "release_failed", "absent", 7),
    ],
)
def test_one_that_fails_puts_nothing_live(node, tmp_path, what, code, message, line):
    app = "demo/failing-" + "".join(filter(str.isalnum, what))[:16].lower()
    node.deploy(write(tmp_path / "1", "1.0.0"), app)
    refused = node.deploy(write(tmp_path / "2", "2.0.0", what), app, check=False)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    report = last_release(node, app)["report"]
    assert report["code"] == code
    assert message in report["message"]
    if line:
        assert (report["file"], report["line"]) == ("bring.py", line)
        assert "bring.py" in report["traceback"]
    assert node.json("apps", "info", app)["app"]["live"] == "1.0.0"


@pytest.mark.parametrize("entry", ["absent:run", "bring:absent"])
def test_an_entry_that_is_not_there_is_named(node, tmp_path, entry):
    refused = node.deploy(write(tmp_path / "1", "1.0.0", entry=entry), "demo/unnamed", check=False)
    assert refused.returncode == 3
    assert "absent" in refused.stdout + refused.stderr
    assert "[entry] release" in refused.stdout + refused.stderr


def test_an_exit_with_0_is_a_return(node, tmp_path):
    node.deploy(write(tmp_path / "1", "1.0.0", "sys.exit(0)"), "demo/exits")
    assert node.http("demo/exits").status == 200


def test_it_may_take_longer_than_a_request(node, tmp_path):
    app = "demo/long"
    slow = "import time; end = time.monotonic() + 0.6\n    while time.monotonic() < end: pass"
    folder = write(tmp_path / "1", "1.0.0", slow, extra='\n[limits]\nwall = "200ms"\n')
    node.deploy(folder, app)
    assert node.http(app).status == 200


def test_a_node_that_is_replaced_meanwhile_runs_it_again(own_node, tmp_path):
    app = "demo/replaced"
    own_node.wait_cache()
    own_node.deploy(write(tmp_path / "1", "1.0.0"), app)
    slow = "import time; end = time.monotonic() + 2\n    while time.monotonic() < end: pass"
    folder = write(tmp_path / "2", "2.0.0", slow)
    with subprocess.Popen(
        own_node.cli_command("deploy", folder, "--app", app), stdin=subprocess.DEVNULL
    ) as deploy:
        wait_until(
            lambda: [e for e in own_node.events(app) if "of 2.0.0 runs" in (e.get("text") or "")],
            own_node.log,
        )
        os.kill(own_node.keeper.pid, signal.SIGHUP)
        assert deploy.wait(timeout=60) == 0
    assert own_node.json("apps", "info", app)["app"]["live"] == "2.0.0"
