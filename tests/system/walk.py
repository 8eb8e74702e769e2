"""Deploys an app and walks its expect.json: what must come of the deploy and of each request.

    {"deploy": "live" (default) or "rejected", "code", "file", "line", "traceback_contains": [..],
     "requests": [{"method", "path", "headers_sent",
                   "body_sent" or "body_sent_repeat": [text, times],
                   "status", "headers", "headers_contain",
                   "body", "body_contains", "body_length", "json",
                   "broken": true (the answer must end before it is whole)}],
     "log_contains": [..], "log_loses": true}
"""

import json

import pytest
from raw_http import ConnectionEnded
from waiting import wait_until

KEYS = {
    "deploy",
    "code",
    "file",
    "line",
    "traceback_contains",
    "requests",
    "log_contains",
    "log_loses",
}


def walk(node, folder, app):
    """`folder` is readable for the node's user; `app` is TENANT/NAME."""
    expect = json.loads((folder / "expect.json").read_text())
    assert set(expect) <= KEYS
    done = node.deploy(folder, app, check=expect.get("deploy", "live") == "live")
    if expect.get("deploy") == "rejected":
        check_rejected(node, app, done, expect)
        return
    assert last_release(node, app)["state"] == "live"
    for step in expect.get("requests", []):
        check_request(node, app, step)
    for text in expect.get("log_contains", []):
        wait_until(lambda text=text: text in log_text(node, app), f"the log has {text!r}")
    if expect.get("log_loses"):
        wait_until(lambda: node.json("logs", app)["lost"] > 0, "the log says how much was lost")


def check_rejected(node, app, done, expect):
    assert done.returncode == 3, done.stdout + done.stderr
    release = last_release(node, app)
    assert release["state"] == "rejected"
    report = release["report"]
    for key in ("code", "file", "line"):
        if key in expect:
            assert report[key] == expect[key]
    for text in expect.get("traceback_contains", []):
        assert text in report["traceback"]
        assert text in done.stdout + done.stderr, "the deployer was not told"
    assert report["message"] and report["advice"]


def last_release(node, app):
    tenant, name = app.split("/")
    answer = node.admin("GET", f"/v1/tenants/{tenant}/apps/{name}/releases")
    assert answer.status == 200, answer.body
    return max(answer.json()["releases"], key=lambda release: release["id"])


def log_text(node, app):
    return "".join(event.get("text") or "" for event in node.events(app))


def check_request(node, app, step):
    body = step.get("body_sent")
    if "body_sent_repeat" in step:
        text, times = step["body_sent_repeat"]
        body = text * times
    arguments = {
        "target": step["path"],
        "method": step.get("method", "GET"),
        "headers": list(step.get("headers_sent", {}).items()),
        "body": body.encode() if body is not None else None,
    }
    if step.get("broken"):
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            node.http(app, **arguments)
        return
    answer = node.http(app, **arguments)
    seen = f"{step['path']}: {answer}\n{log_text(node, app)[-2000:]}"
    assert answer.status == step["status"], seen
    for name, value in step.get("headers", {}).items():
        assert answer.header(name) == value, seen
    for name, value in step.get("headers_contain", {}).items():
        assert value in (answer.header(name) or ""), seen
    if "json" in step:
        assert answer.json() == step["json"], seen
    if "body" in step:
        assert answer.text() == step["body"], seen
    if "body_length" in step:
        assert len(answer.body) == step["body_length"], seen
    for text in step.get("body_contains", []):
        assert text in answer.text(), seen
