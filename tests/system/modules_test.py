"""Modules as facts: what a release loads and from where, and what the operator denies."""

import hashlib
import os
import signal

import apps
from waiting import wait_until
from walk import last_release

SOURCE = """
import json
import helpers

def application(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps(helpers.ANSWER).encode()]
"""
HELPERS = "ANSWER = 'from a helper'\n"


def facts_of(node, *arguments):
    answer = node.json("modules", *arguments)
    return {module["name"]: module for module in answer["modules"]}


def test_a_release_lists_what_it_loads(node, tmp_path):
    app = "demo/facts"
    node.deploy(apps.write_app(tmp_path / "1", SOURCE, files={"helpers.py": HELPERS}), app)
    node.deploy(apps.write_app(tmp_path / "2", version="2.0.0"), app)
    facts = facts_of(node, app, "1.0.0")
    assert facts["helpers"] == {
        "name": "helpers",
        "origin": "app",
        "release": "1.0.0",
        "path": "helpers.py",
        "sha256": hashlib.sha256(HELPERS.encode()).hexdigest(),
    }
    assert facts["main"]["sha256"] == hashlib.sha256(SOURCE.encode()).hexdigest()
    platform = facts["json"]
    assert (platform["origin"], platform["release"][:9]) == ("platform", "Python 3.")
    with open("/usr/lib/python3.11/json/__init__.py", "rb") as file:
        assert platform["sha256"] == hashlib.sha256(file.read()).hexdigest()
    assert facts["sys"]["sha256"] is None
    assert "helpers" not in facts_of(node, app)
    lines = node.cli("modules", app, "1.0.0").stdout.splitlines()
    assert lines[0].split() == ["MODULE", "ORIGIN", "RELEASE", "SHA-256"]
    assert any(line.split()[:3] == ["helpers", "app", "1.0.0"] for line in lines)


def test_what_is_not_known_is_said(node, tmp_path):
    app = "demo/unknown"
    broken = node.deploy(apps.write_app(tmp_path, "import nothing_here"), app, check=False)
    assert broken.returncode == 3
    for arguments, code in (
        ((app,), "release_not_found"),
        ((app, "1.0.0"), "modules_unknown"),
        (("demo/nobody",), "app_not_found"),
    ):
        answer = node.cli("modules", *arguments, check=False)
        assert (answer.returncode, code in answer.stderr) == (1, True), answer.stderr
    assert node.cli("modules", app, "one", check=False).returncode == 2


def test_the_operator_denies_modules_with_a_reload(make_node, tmp_path):
    node = make_node().start()
    app = "demo/denied"
    source = apps.HELLO + "import sqlite3\n"
    node.deploy(apps.write_app(tmp_path / "1", source), app)
    assert node.json("modules")["deny"] == []
    node.settings = {"modules": {"deny": ["sqlite3", "xml"], "allow": ["xml.sax"]}}
    node.write_settings()
    os.kill(node.keeper.pid, signal.SIGHUP)
    wait_until(
        lambda: node.json("modules")["deny"] == ["sqlite3", "xml"],
        lambda: node.log()[-2000:],
    )
    assert "modules_changed" in node.log() and "no restart" in node.log()
    shown = node.cli("modules").stdout
    assert "sqlite3, xml" in shown and "xml.sax" in shown and "reload" in shown
    refused = node.deploy(apps.write_app(tmp_path / "2", source, "2.0.0"), app, check=False)
    assert refused.returncode == 3
    assert "module 'sqlite3' is denied on this node" in refused.stderr
    assert "error[module_denied]" in refused.stderr and "main.py" in refused.stderr
    assert "[bundle] packages" not in refused.stderr
    report = last_release(node, app)["report"]
    assert (report["file"], report["line"]) == ("main.py", source.count("\n"))
    node.deploy(apps.write_app(tmp_path / "3", apps.HELLO + "import xml.sax\n", "3.0.0"), app)
    assert node.http(app).body == b"Hello, world"
