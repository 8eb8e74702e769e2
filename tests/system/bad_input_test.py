"""Each bad input gets a clear error, loses nothing and disturbs nobody."""

import json
import os
import pathlib
import shutil
import subprocess
import unicodedata

import admin_api
import apps
import pytest
from node import IDS, free_port
from raw_http import ConnectionEnded
from waiting import wait_until
from walk import last_release, walk

SETTINGS = {"workers": {"boot_timeout": "3s"}}
BAD_APPS = sorted((pathlib.Path(__file__).resolve().parents[1] / "apps/bad").glob("*/expect.json"))
BYSTANDER = "bystander/hello"


@pytest.fixture(autouse=True)
def bystander(request, tmp_path_factory):
    """Another tenant's app answers before and after, from the same worker."""
    if "node" not in request.fixturenames:
        yield
        return
    node = request.getfixturevalue("node")
    if not node.json("releases", BYSTANDER, check=False).get("releases"):
        node.deploy(apps.write_app(tmp_path_factory.mktemp("bystander")), BYSTANDER)
    assert node.http(BYSTANDER).body == b"Hello, world"
    before = node.workers(BYSTANDER)
    yield
    assert node.http(BYSTANDER).body == b"Hello, world"
    assert node.workers(BYSTANDER) == before


def refused(done, *texts):
    """The command line ended with an error that says these texts, and without a traceback."""
    said = done.stdout + done.stderr
    assert done.returncode in (1, 3), said
    for text in texts:
        assert text in said
    return said


# --- the manifest ---


def test_an_unknown_key_in_the_manifest(node, tmp_path):
    folder = apps.write_app(tmp_path)
    manifest = folder / "cloister.toml"
    manifest.write_text(manifest.read_text().replace("version =", "versoin ="))
    refused(node.deploy(folder, "demo/key", check=False), "cloister.toml:3", "versoin", "version")


def test_the_node_itself_refuses_an_unknown_key(node):
    manifest = admin_api.MANIFEST.replace(b"version =", b"versoin =")
    node.tenant("demo")
    files = {"cloister.toml": manifest, "main.py": b""}
    release = admin_api.deploy(node, "demo/node-key", files)
    assert release["state"] == "rejected"
    assert release["report"]["code"] == "manifest_invalid"
    assert (release["report"]["file"], release["report"]["line"]) == ("cloister.toml", 3)
    assert "versoin" in release["report"]["message"]


# --- the bundle ---

BAD_PATHS = {
    "dotdot": "../outside.py",
    "dotdot-inside": "a/../../outside.py",
    "absolute": "/etc/passwd",
    "dot": "./main.py",
    "empty-part": "a//b.py",
    "nul": "a\0b.py",
    "newline": "a\nb.py",
    "empty": "",
    "platform": "cloister/__init__.py",
}


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS.keys())
def test_a_bad_path_in_a_bundle(node, path):
    node.tenant("demo")
    content = b"x = 1\n"
    admin_api.send_contents(node, "demo", admin_api.MANIFEST, content)
    files = [admin_api.row("cloister.toml", admin_api.MANIFEST), admin_api.row(path, content)]
    answer = admin_api.send_release(node, "demo/paths", files)
    admin_api.assert_problem(answer, 422, "bundle_refused")


def test_a_link_in_a_bundle(node, tmp_path):
    folder = apps.write_app(tmp_path)
    (folder / "passwd").symlink_to("/etc/passwd")
    refused(node.deploy(folder, "demo/link", check=False), "passwd")


@pytest.mark.parametrize(
    "other",
    ["caf\u00e9.py", unicodedata.normalize("NFD", "caf\u00e9.py")],
    ids=["same", "normalised"],
)
def test_duplicate_names_in_a_bundle(node, other):
    node.tenant("demo")
    admin_api.send_contents(node, "demo", admin_api.MANIFEST, b"")
    files = [admin_api.row(path, b"") for path in ("caf\u00e9.py", other)]
    files.append(admin_api.row("cloister.toml", admin_api.MANIFEST))
    admin_api.assert_problem(
        admin_api.send_release(node, "demo/twice", files), 422, "bundle_refused"
    )


def test_a_file_of_10_gb(node, tmp_path):
    folder = apps.write_app(tmp_path)
    with open(folder / "huge.bin", "wb") as huge:
        huge.truncate(10 * 1024**3)
    refused(node.deploy(folder, "demo/huge", check=False), "huge.bin", "32")

    files = [admin_api.row("cloister.toml", admin_api.MANIFEST)]
    files.append(admin_api.row("huge.bin", b"", size=10 * 1024**3))
    admin_api.assert_problem(
        admin_api.send_release(node, "demo/huge", files), 422, "bundle_too_large"
    )


def test_a_million_files(node, tmp_path):
    folder = apps.write_app(tmp_path)
    (folder / "many").mkdir(mode=0o755)
    (folder / "many/0").touch()
    for number in range(1, 20001):
        os.link(folder / "many/0", folder / f"many/{number}")
    refused(node.deploy(folder, "demo/many", check=False), "20000")

    digest = admin_api.sha256(b"")
    rows = (f'{{"path":"{number}","size":0,"sha256":"{digest}"}}' for number in range(1_000_000))
    body = f'{{"files":[{",".join(rows)}]}}'.encode()
    path = admin_api.make_app(node, "demo/many")
    try:
        answer = node.admin(
            "POST", f"{path}/releases", body, [("Content-Type", "application/json")]
        )
    except (BrokenPipeError, ConnectionResetError):
        return  # refused while it was still being sent
    assert answer.status in (413, 422), answer.body


def test_a_wrong_hash(node):
    node.tenant("demo")
    good, bad = b"good content", b"bad content"
    answer = admin_api.send_contents(node, "demo", good, bad, digests={1: bytes(32)})
    admin_api.assert_problem(answer, 422, "content_hash_mismatch")
    assert len(admin_api.missing(node, "demo", good, bad)) == 2, "something of the batch was stored"


def test_a_content_of_another_tenant_does_not_count(node):
    for tenant in ("demo", "other"):
        node.tenant(tenant)
    secret = b"only in the other tenant's bundles"
    assert admin_api.send_contents(node, "other", secret).status in (200, 201)
    assert admin_api.missing(node, "other", secret) == []
    assert admin_api.missing(node, "demo", secret) == [admin_api.sha256(secret)]

    admin_api.send_contents(node, "demo", admin_api.MANIFEST)
    files = [admin_api.row("cloister.toml", admin_api.MANIFEST), admin_api.row("main.py", secret)]
    answer = admin_api.send_release(node, "demo/theft", files)
    never_sent = [
        admin_api.row("cloister.toml", admin_api.MANIFEST),
        admin_api.row("main.py", b"?"),
    ]
    unknown = admin_api.send_release(node, "demo/theft", never_sent)
    for refusal in (answer, unknown):  # nobody can tell that it exists
        admin_api.assert_problem(refusal, 409, "contents_missing")


@pytest.mark.parametrize(
    "batch",
    [b"\0", b"\0" * 40, b"\0" * 32 + b"\xff" * 8, b"\0" * 32 + b"\x10" + b"\0" * 7 + b"short"],
    ids=["short-digest", "empty-content", "huge-size", "cut-content"],
)
def test_a_damaged_batch_of_contents(node, batch):
    node.tenant("demo")
    headers = [("Content-Type", "application/octet-stream")]
    answer = node.admin("POST", "/v1/tenants/demo/contents", batch, headers)
    assert 400 <= answer.status < 500
    admin_api.assert_problem(answer, answer.status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"files":1}',
        b'{"files":[{}]}',
        b"[" * 100_000,
        b'{"files":[]}',
        b"\xff\xfe",
    ],
    ids=["empty", "cut", "list", "number", "row", "deep", "no-files", "not-utf8"],
)
def test_a_release_that_is_not_one(node, body):
    path = admin_api.make_app(node, "demo/garbage")
    answer = node.admin("POST", f"{path}/releases", body, [("Content-Type", "application/json")])
    assert 400 <= answer.status < 500
    admin_api.assert_problem(answer, answer.status)


# --- the code ---


@pytest.mark.parametrize("expect", BAD_APPS, ids=[path.parent.name for path in BAD_APPS])
def test_a_bad_app(node, tmp_path, expect):
    copy = tmp_path / "app"
    shutil.copytree(expect.parent, copy)
    apps.open_to_all(copy)
    walk(node, copy, f"bad/{expect.parent.name.replace('_', '-')}")


def test_a_syntax_error_is_shown_with_its_caret(node, tmp_path):
    folder = apps.write_app(tmp_path, "x = 1\nif x\n    pass\n")
    said = refused(node.deploy(folder, "demo/caret", check=False), "main.py", "if x", "^")
    assert "line 2" in said or "main.py:2" in said
    assert last_release(node, "demo/caret")["report"]["code"] == "syntax_error"


# --- the channel ---

ON_THE_CHANNEL = {
    "garbage": 'channel.write(b"\\xff" * 64)',
    "flood": 'while True: channel.write(b"\\xff" * 65536)',
    "half_a_frame": 'channel.write(b"\\x40\\0\\0\\0\\x12\\0\\0\\0")',
    "half_and_die": 'channel.write(b"\\x40\\0\\0\\0\\x12\\0\\0\\0"); os._exit(1)',
    "half_and_hang": 'channel.write(b"\\x40\\0\\0\\0\\x12\\0\\0\\0\\x01"); hang()',
    "endless_frame": 'channel.write(b"\\xff\\xff\\xff\\x7f\\x12\\0\\0\\0\\x01\\0\\0\\0")',
    "unknown_type": 'channel.write(b"\\0\\0\\0\\0\\x7f\\0\\0\\0\\x01\\0\\0\\0")',
    "another_id": 'channel.write(b"\\0\\0\\0\\0\\x13\\x01\\0\\0\\xff\\xff\\0\\0")',
    "the_nodes_type": 'channel.write(b"\\0\\0\\0\\0\\x01\\0\\0\\0\\x01\\0\\0\\0")',
}
CHANNEL_APP = """
import _io
import os

channel = _io.FileIO(3, "wb", closefd=False)

def hang():
    while True:
        pass

def application(environ, start_response):
    if environ["PATH_INFO"] == "/bad":
        {attack}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""


@pytest.mark.parametrize("name", ON_THE_CHANNEL)
def test_a_worker_that_breaks_the_protocol(node, tmp_path, name):
    app = f"demo/{name.replace('_', '-')}"
    limits = '\n[limits]\nwall = "1s"\n\n[workers]\nmax = 1\n'
    node.deploy(
        apps.write_app(tmp_path, CHANNEL_APP.format(attack=ON_THE_CHANNEL[name]), extra=limits), app
    )
    assert node.http(app).body == b"fine"
    (before,) = node.workers(app)

    answer = node.http(app, "/bad")
    assert answer.status in (502, 504)
    wait_until(lambda: not before.is_alive(), "the worker was ended")
    assert node.http(app).body == b"fine"
    sources = {event["source"] for event in node.events(app)}
    assert "runtime" in sources, "the tenant's log does not say why"


def test_a_log_frame_of_a_false_kind_is_refused_too(node, tmp_path):
    app = "demo/false-log"
    attack = 'channel.write(b"\\x02\\0\\0\\0\\x15\\0\\0\\0\\0\\0\\0\\0\\xff\\xff")'
    node.deploy(apps.write_app(tmp_path, CHANNEL_APP.format(attack=attack)), app)
    assert node.http(app, "/bad").status == 502
    assert node.http(app).body == b"fine"


# --- the machine ---


def test_a_second_daemon_on_the_same_state_directory(node):
    done = node.run_daemon("--state-dir", node.state, "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode != 0
    assert str(node.state) in done.stderr


def test_a_port_in_use(node, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    apps.open_to_all(state)
    if node.user in IDS:
        os.chown(state, IDS[node.user], IDS[node.user])
    done = node.run_daemon("--state-dir", state, "--listen", f"127.0.0.1:{node.port}")
    assert done.returncode != 0
    assert str(node.port) in done.stderr


@pytest.mark.parametrize(
    "text, wanted",
    [
        ('[http]\nlisen = ["127.0.0.1:0"]\n', ["settings.toml:2", "lisen", "listen"]),
        ("[limits]\nmemory = 12\n", ["settings.toml:2", "memory"]),
        ("[node\n", ["settings.toml:1"]),
    ],
    ids=["unknown-key", "no-unit", "not-toml"],
)
def test_bad_settings(node, tmp_path, text, wanted):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    apps.open_to_all(tmp_path)
    done = node.run_daemon("--config", file)
    assert done.returncode == 2 or done.returncode == 1
    for word in wanted:
        assert word in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk(make_node, tmp_path):
    node = make_node()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "none", node.state], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this root may not mount")
    try:
        if node.user in IDS:
            os.chown(node.state, IDS[node.user], IDS[node.user])
        node.start()
        node.deploy(apps.write_app(tmp_path / "small"), "demo/small")
        large = apps.write_app(tmp_path / "large", files={"random.bin": os.urandom(16 * 1024**2)})
        refused(node.deploy(large, "demo/large", check=False), "full")
        assert node.http("demo/small").body == b"Hello, world"
        node.deploy(apps.write_app(tmp_path / "small", version="1.0.1"), "demo/small")
        assert node.stop() == 0
    finally:
        subprocess.run(["umount", "--lazy", node.state], check=False)


def test_a_client_that_goes_away_in_the_middle_of_an_upload(node):
    path = admin_api.make_app(node, "demo/gone")
    with node.connect_admin() as connection:
        connection.send(
            b"POST %s/releases HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{" % path.encode()
        )
    with pytest.raises(ConnectionEnded), node.connect_admin() as connection:
        connection.send(
            b"POST /v1/tenants/demo/contents HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
        )
        connection.send(b"\0" * 50)
        connection.socket.shutdown(1)
        connection.read_response()
    assert json.loads(node.admin("GET", f"{path}/releases").body)["releases"] == []
