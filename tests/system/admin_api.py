"""The admin API without the command line, for uploads that it would never send."""

import hashlib
import json
import struct

MANIFEST = b'[app]\nname = "app"\nversion = "1.0.0"\n\n[entry]\nweb = "main:application"\n'


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def row(path, content, size=None):
    """A row of a release's file list."""
    return {
        "path": path,
        "size": len(content) if size is None else size,
        "sha256": sha256(content),
    }


def make_app(node, app):
    """The path of TENANT/NAME's resource; makes both when they are new."""
    tenant, name = app.split("/")
    node.tenant(tenant)
    made = node.admin("POST", f"/v1/tenants/{tenant}/apps", {"name": name})
    assert made.status in (200, 201, 409), made.body
    return f"/v1/tenants/{tenant}/apps/{name}"


def send_contents(node, tenant, *contents, digests=None):
    """Uploads contents in one batch; `digests` are claimed for them instead of their own."""
    batch = b""
    for number, content in enumerate(contents):
        digest = (digests or {}).get(number, hashlib.sha256(content).digest())
        batch += digest + struct.pack("<Q", len(content)) + content
    headers = [("Content-Type", "application/octet-stream")]
    return node.admin("POST", f"/v1/tenants/{tenant}/contents", batch, headers)


def missing(node, tenant, *contents):
    rows = [{"sha256": sha256(content), "size": len(content)} for content in contents]
    answer = node.admin("POST", f"/v1/tenants/{tenant}/contents/missing", {"files": rows})
    assert answer.status == 200, answer.body
    return answer.json()["missing"]


def send_release(node, app, files):
    """POSTs a release with these rows; the answer may be a refusal."""
    return node.admin("POST", f"{make_app(node, app)}/releases", {"files": files})


def deploy(node, app, files):
    """Uploads {path: content} and waits for the release's end; returns the release."""
    path = make_app(node, app)
    sent = send_contents(node, app.split("/")[0], *files.values())
    assert sent.status in (200, 201), sent.body
    answer = send_release(node, app, [row(name, content) for name, content in files.items()])
    assert answer.status == 202, answer.body
    release = answer.json()["release"]
    while release["state"] not in ("live", "rejected"):
        answer = node.admin("GET", f"{path}/releases/{release['id']}?wait_ms=5000")
        release = answer.json()["release"]
    return release


def assert_problem(answer, status, code=None):
    """The answer is a problem document (RFC 9457) with a stable code."""
    assert answer.status == status, answer.body
    assert answer.header("Content-Type") == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert problem["title"] and problem["code"]
    if code:
        assert problem["code"] == code
    return problem
