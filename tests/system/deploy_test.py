"""Apps as people write them deploy and answer; what a release is after that."""

import os
import pathlib
import shutil
import signal
import subprocess

import apps
import pytest
from waiting import wait_until
from walk import last_release, walk

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRIENDLY = sorted(
    path.parent.relative_to(ROOT)
    for pattern in ("docs/examples/*/expect.json", "tests/apps/*/expect.json")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("folder", FRIENDLY, ids=str)
def test_an_app_deploys_and_answers(node, tmp_path, folder):
    copy = tmp_path / "app"
    shutil.copytree(ROOT / folder, copy)
    apps.open_to_all(copy)
    tenant = "examples" if folder.parts[0] == "docs" else "apps"
    walk(node, copy, f"{tenant}/{folder.name.replace('_', '-')}")


def versioned(text):
    return apps.HELLO.replace("Hello, world", text)


def test_a_greater_version_takes_over_and_a_lesser_is_refused(node, tmp_path):
    app = "demo/versions"
    node.deploy(apps.write_app(tmp_path / "one", versioned("Hello, ones "), "1.9.0"), app)
    assert node.http(app).body == b"Hello, ones "
    node.deploy(apps.write_app(tmp_path / "two", versioned("Hello, twos "), "1.10.0"), app)
    assert node.http(app).body == b"Hello, twos "

    lesser = apps.write_app(tmp_path / "lesser", versioned("Hello, less "), "1.9.1")
    refused = node.deploy(lesser, app, check=False)
    assert refused.returncode == 3
    assert "1.10.0" in refused.stdout + refused.stderr
    assert node.http(app).body == b"Hello, twos "
    node.deploy(lesser, app, arguments=["--allow-downgrade"])
    assert node.http(app).body == b"Hello, less "


def test_a_version_that_was_live_never_changes(node, tmp_path):
    app = "demo/immutable"
    node.deploy(apps.write_app(tmp_path / "one"), app)
    other = apps.write_app(tmp_path / "other", versioned("Hello, other"))
    refused = node.deploy(other, app, check=False)
    assert refused.returncode == 3
    assert node.http(app).body == b"Hello, world"


def test_a_rejected_version_may_be_sent_again(node, tmp_path):
    app = "demo/again"
    broken = apps.write_app(tmp_path / "broken", "def application(:\n")
    assert node.deploy(broken, app, check=False).returncode == 3
    node.deploy(apps.write_app(tmp_path / "mended"), app)
    assert node.http(app).body == b"Hello, world"


def test_a_release_shows_each_step_with_its_times(node, tmp_path):
    app = "demo/steps"
    node.deploy(apps.write_app(tmp_path), app)
    release = last_release(node, app)
    steps = {step["name"]: step for step in release["steps"]}
    assert list(steps) == ["received", "verified", "compiled", "booted", "checked", "live"]
    for step in steps.values():
        assert step["outcome"] == "done"
        assert step["started_at"] <= step["ended_at"]
    assert release["url"] == f"http://steps.demo.localhost:{node.port}/"


def test_only_what_the_node_does_not_have_travels(node, tmp_path):
    app = "demo/travel"
    files = {"data/large.bin": bytes(range(256)) * 4096}
    folder = apps.write_app(tmp_path, version="1.0.0", files=files)
    first = node.deploy(folder, app)
    apps.write_app(tmp_path, version="1.0.1", files=files)
    second = node.deploy(folder, app)
    assert "1.0 MiB" in first.stdout + first.stderr
    assert "1.0 MiB" not in second.stdout + second.stderr


def test_the_deploy_is_plain_lines_without_a_terminal(node, tmp_path):
    done = node.deploy(apps.write_app(tmp_path), "demo/plain")
    assert "\r" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert f"http://plain.demo.localhost:{node.port}/" in done.stdout


def test_everything_is_there_after_a_restart(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path), "demo/kept")
    before = last_release(own_node, "demo/kept")
    assert before.pop("workers") == 1 and before.pop("memory_bytes") > 0
    own_node.restart()
    after = last_release(own_node, "demo/kept")
    assert after.pop("workers") == 0 and after.pop("memory_bytes") == 0
    assert after == before
    assert own_node.http("demo/kept").body == b"Hello, world"


def test_an_idle_app_has_no_process_until_it_is_asked(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path), "demo/idle")
    own_node.restart()
    assert own_node.workers("demo/idle") == []
    assert own_node.http("demo/idle").body == b"Hello, world"
    assert len(own_node.workers("demo/idle")) == 1


def test_an_apps_minimum_of_workers_runs(node, tmp_path):
    app = "demo/minimum"
    node.deploy(apps.write_app(tmp_path, extra="\n[workers]\nmin = 5\n"), app)
    wait_until(lambda: len(node.workers(app)) == 5, "five workers run")


def test_a_tenant_with_apps_is_deleted_only_by_force(node, tmp_path):
    node.deploy(apps.write_app(tmp_path), "leaving/hello")
    refused = node.admin("DELETE", "/v1/tenants/leaving")
    assert (refused.status, refused.json()["code"]) == (409, "tenant_not_empty")
    assert node.http("leaving/hello").status == 200
    assert node.admin("DELETE", "/v1/tenants/leaving?force=1").status < 300
    assert node.http("leaving/hello").status == 404


def test_an_unknown_host_gets_a_404_that_says_nothing(node, tmp_path):
    node.deploy(apps.write_app(tmp_path), "demo/known")
    unknown = [node.http(app) for app in ("demo/unknown", "nobody/known")]
    assert [answer.status for answer in unknown] == [404, 404]
    said = [{**answer.json(), "request_id": None} for answer in unknown]
    assert said[0] == said[1]
    assert b"known" not in unknown[0].body


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_only_operators_may_administer(node):
    refused = node.cli("status", check=False, user="stranger")
    assert refused.returncode == 3, refused.stdout + refused.stderr


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_a_deploy_that_nobody_waits_for_goes_on_and_says_so(node, tmp_path, ended_by):
    app = f"demo/interrupted-{ended_by}"
    slow = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\n"
    folder = apps.write_app(tmp_path / "app", slow + apps.HELLO)
    node.tenant("demo")
    with subprocess.Popen(
        node.cli_command("deploy", folder, "--app", app),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as deploy:
        for line in deploy.stdout:
            if "compiled" in line:
                break
        deploy.send_signal(ended_by)
        said = deploy.stderr.read()
        assert deploy.wait(timeout=20) == -ended_by
    assert f"cloister releases {app}" in said
    wait_until(lambda: last_release(node, app)["state"] == "live", node.log)
    assert node.http(app).body == b"Hello, world"
