"""What a node keeps of an app: for how long, whether it is still what was received, and who is
the higher of two versions."""

import json
import sqlite3
import subprocess

import apps
from waiting import wait_until

SETTINGS = {"releases": {"kept_max": 1}}


def deploy_versions(node, folder, app, versions):
    for version in versions:
        node.deploy(apps.write_app(folder / version, version=version), app)


def versions(node, app, *arguments):
    answer = node.json("releases", app, *arguments)
    rows = answer["releases"] + answer.get("collected", [])
    return [(row["version"], row["state"]) for row in rows]


def test_former_releases_go_and_their_versions_stay_taken(node, tmp_path):
    app = "demo/kept"
    deploy_versions(node, tmp_path, app, ["1.0.0", "2.0.0", "3.0.0", "4.0.0"])
    there = [("4.0.0", "live"), ("3.0.0", "kept")]
    wait_until(lambda: versions(node, app) == there, lambda: versions(node, app))
    gone = [("2.0.0", "collected"), ("1.0.0", "collected")]
    assert versions(node, app, "--all") == there + gone
    assert "collected" in node.cli("releases", app, "--all").stdout
    other = apps.write_app(tmp_path / "other", apps.HELLO.replace("world", "other"), "1.0.0")
    refused = node.deploy(other, app, check=False, arguments=["--allow-downgrade"])
    assert refused.returncode == 3
    assert "version_taken" in refused.stderr


def test_a_pinned_release_stays(node, tmp_path):
    app = "demo/pinned"
    deploy_versions(node, tmp_path, app, ["1.0.0"])
    assert node.cli("releases", "pin", app, "1.0.0").stdout == f"pinned {app}@1.0.0\n"
    deploy_versions(node, tmp_path, app, ["2.0.0", "3.0.0", "4.0.0"])
    there = [("4.0.0", "live"), ("3.0.0", "kept"), ("1.0.0", "kept")]
    wait_until(lambda: versions(node, app) == there, lambda: versions(node, app))
    assert node.cli("releases", "unpin", app, "1.0.0").stdout == f"unpinned {app}@1.0.0\n"
    unknown = node.cli("releases", "pin", app, "9.9.9", check=False)
    assert unknown.returncode == 1
    assert "release_not_found" in unknown.stderr


def test_what_was_changed_behind_the_nodes_back_is_found_and_does_not_run(own_node, tmp_path):
    app = "demo/verified"
    own_node.deploy(apps.write_app(tmp_path), app)
    assert "all as they were received" in own_node.cli("verify").stdout
    assert own_node.stop() == 0
    with sqlite3.connect(own_node.state / "state.db") as state:
        state.execute("UPDATE releases SET entry = 'main:other'")
    state.close()
    own_node.start()
    assert own_node.http(app).status >= 500
    assert "entry point" in own_node.log()
    damaged = own_node.cli("verify", app, check=False)
    assert damaged.returncode == 1
    assert "integrity_error" in damaged.stderr and "entry point" in damaged.stdout
    report = own_node.cli("--json", "verify", check=False)
    assert report.returncode == 1
    assert json.loads(report.stdout)["damaged_releases"] == 1


def compare(installation, *arguments):
    """Runs `releases compare` where there is no node."""
    return subprocess.run(
        [installation.bin / "cloister", "--socket", "/nonexistent", "releases", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_versions_are_compared_without_a_node(installation):
    assert compare(installation, "compare", "1.0.0-rc.1", "1.0.0").stdout == "1.0.0-rc.1 < 1.0.0\n"
    answer = compare(installation, "compare", "2", "1", "--json").stdout
    assert json.loads(answer) == {"a": "2", "b": "1", "order": 1}
    for wrong, why in [
        (["compare", "1.2", "1.0.0"], "'1.2' is no version"),
        (["compare", "1.0.0"], "B is required"),
        (["compare", "1", "2", "3"], "3"),
        ([], "APP is required"),
    ]:
        done = compare(installation, *wrong)
        assert done.returncode == 2, (wrong, done)
        assert why in done.stderr
