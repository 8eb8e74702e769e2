"""[static]: files that the node serves itself, of the release that is live, without a worker."""

import gzip
import hashlib
import socket
import threading

import apps
import pytest
from node import host_of
from waiting import wait_until

SETTINGS = {"http": {"connections_per_address_max": 2000}}
APP = "demo/static"
HOST = host_of(APP)
SOURCE = """
def application(environ, start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"app " + environ["PATH_INFO"].encode("latin-1")]
"""
STATIC = """
[static]
"/assets/" = "public/"
"/favicon.ico" = { file = "icons/favicon.ico", cache = "1h" }
"/fonts/" = { folder = "fonts", cache = "365d" }
"""
SCRIPT = b"console.log('hello');\n" * 100
LARGE = bytes(range(256)) * 4 * 1024 * 30  # 30 MiB
FILES = {
    "public/app.js": SCRIPT,
    "public/app.js.gz": gzip.compress(SCRIPT),
    "public/app.js.br": b"not really brotli",
    "public/docs/index.html": "<p>docs</p>",
    "public/large.bin": LARGE,
    "icons/favicon.ico": b"\0\0\1\0",
    "fonts/a.woff2": b"wOF2",
}


def write(folder, version="1.0.0", files=None, extra=STATIC, source=SOURCE):
    return apps.write_app(folder, source, version, "static", files=files or FILES, extra=extra)


@pytest.fixture(scope="module", autouse=True)
def app(node, tmp_path_factory):
    node.deploy(write(tmp_path_factory.mktemp("static")), APP)


def tag_of(content):
    return f'"{hashlib.sha256(content).hexdigest()}"'


def test_a_file_has_its_type_its_tag_and_is_asked_for_each_time(node):
    answer = node.http(APP, "/assets/app.js")
    assert (answer.status, answer.body) == (200, SCRIPT)
    assert answer.header("Content-Type") == "text/javascript; charset=utf-8"
    assert answer.header("ETag") == tag_of(SCRIPT)
    assert answer.header("Cache-Control") == "no-cache"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Vary") == "Accept-Encoding"
    assert all(answer.header(name) for name in ("Date", "X-Request-Id", "Last-Modified"))
    assert node.http(APP, "/favicon.ico").header("Cache-Control") == "public, max-age=3600"
    assert node.http(APP, "/fonts/a.woff2").header("Cache-Control") == "public, max-age=31536000"
    assert node.http(APP, "/assets/docs/").body == b"<p>docs</p>"


def test_what_is_no_file_goes_to_the_app(node):
    for path in ("/", "/assets", "/assets/", "/assets/none", "/assets/docs", "/favicon.ico/"):
        assert node.http(APP, path).text() == "app " + path
    for path in ("/assets/../main.py", "/assets/%2e%2e/main.py", "/assets/..%2fmain.py"):
        answer = node.http(APP, path)
        assert answer.status == 404 and b"start_response" not in answer.body
    assert node.http(APP, "/assets/%00").status == 400


def test_methods(node):
    head = node.http(APP, "/assets/app.js", method="HEAD")
    assert (head.status, head.header("Content-Length")) == (200, str(len(SCRIPT)))
    post = node.http(APP, "/assets/app.js", method="POST", body=b"x" * 100_000)
    assert (post.status, post.header("Allow")) == (405, "GET, HEAD")
    assert post.json()["code"] == "static_method"
    assert node.http(APP, "/assets/none", method="POST", body=b"x").text() == "app /assets/none"


def test_compressed_forms(node):
    def ask(accept):
        return node.http(APP, "/assets/app.js", headers=[("Accept-Encoding", accept)])

    zipped = ask("gzip")
    assert zipped.header("Content-Encoding") == "gzip" and gzip.decompress(zipped.body) == SCRIPT
    assert ask("gzip, br").header("Content-Encoding") == "br"
    assert ask("gzip;q=0, *;q=0.1").header("Content-Encoding") == "br"
    plain = ask("identity")
    assert plain.header("Content-Encoding") is None and plain.body == SCRIPT
    assert len({answer.header("ETag") for answer in (zipped, ask("br"), plain)}) == 3


def test_conditions_and_ranges(node):
    first = node.http(APP, "/assets/app.js")
    tag = [("If-None-Match", first.header("ETag"))]
    answer = node.http(APP, "/assets/app.js", headers=tag)
    assert (answer.status, answer.body) == (304, b"")
    dated = [("If-Modified-Since", first.header("Last-Modified"))]
    assert node.http(APP, "/assets/app.js", headers=dated).body == SCRIPT
    part = node.http(APP, "/assets/large.bin", headers=[("Range", "bytes=1000000-1000999")])
    assert (part.status, part.body) == (206, LARGE[1000000:1001000])
    assert part.header("Content-Range") == f"bytes 1000000-1000999/{len(LARGE)}"
    assert node.http(APP, "/assets/app.js", headers=[("Range", "bytes=99999-")]).status == 416
    stale = [("Range", "bytes=0-9"), ("If-Range", '"other"')]
    assert node.http(APP, "/assets/app.js", headers=stale).body == SCRIPT


def test_a_large_file_arrives_whole_and_slow_clients_cost_little(node):
    assert node.http(APP, "/assets/large.bin").body == LARGE
    process = node.process("node")
    before = process.private_bytes()
    slow = [node.connect(receive_buffer=4096) for _ in range(40)]
    try:
        for connection in slow:
            connection.socket.settimeout(60)
            connection.send(f"GET /assets/large.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert connection.read_head().status == 200
        # Others are served meanwhile, and 40 x 30 MiB are nowhere.
        assert node.http(APP, "/assets/app.js").body == SCRIPT
        assert process.private_bytes() - before < 200 * 1024 * 1024
        status = node.http(APP, "/favicon.ico")
        assert status.status == 200
        assert slow[0].read_exactly(len(LARGE)) == LARGE
    finally:
        for connection in slow:
            connection.socket.close()
    assert node.http(APP, "/assets/app.js").body == SCRIPT


def test_the_access_log_has_them(node):
    own = node.http(APP, "/assets/app.js?log").header("X-Request-Id")
    (line,) = wait_until(
        lambda: [line for line in node.log().splitlines() if own in line], "the access log"
    )
    for word in (f"app={APP}", "release=1.0.0", "status=200", f"bytes={len(SCRIPT)}"):
        assert word in line


def test_no_worker_is_started_for_a_file(make_node, tmp_path):
    node = make_node({"workers": {"idle_timeout": "1s"}}).start()
    node.deploy(write(tmp_path), APP)
    wait_until(lambda: not node.workers(APP), "the workers of the deploy are gone")
    node.restart()
    assert node.http(APP, "/assets/app.js").body == SCRIPT
    assert node.http(APP, "/assets/large.bin").body == LARGE
    assert not node.workers(APP)
    assert node.http(APP, "/").text() == "app /"
    assert node.workers(APP)


def test_a_swap_leaves_no_stale_file(node, tmp_path):
    app = "demo/swap"
    files = {"public/version.txt": "1", "public/old.txt": "old"}
    node.deploy(write(tmp_path / "1", "1.0.0", files, '[static]\n"/s/" = "public/"\n'), app)
    assert node.http(app, "/s/version.txt").body == b"1"
    seen, stop, wrong = [], threading.Event(), []

    def ask():
        with node.connect() as connection:
            while not stop.is_set():
                answer = connection.request(target="/s/version.txt", host=host_of(app))
                seen.append(answer.body)
                if answer.status != 200:
                    wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    files = {"public/version.txt": "2", "public/new.txt": "new"}
    node.deploy(write(tmp_path / "2", "2.0.0", files, '[static]\n"/s/" = "public/"\n'), app)
    after = node.http(app, "/s/version.txt").body
    stop.set()
    for thread in threads:
        thread.join()
    assert after == b"2" and not wrong and set(seen) <= {b"1", b"2"}
    assert node.http(app, "/s/old.txt").text() == "app /s/old.txt"
    assert node.http(app, "/s/new.txt").body == b"new"
    node.cli("rollback", app)
    wait_until(lambda: node.http(app, "/s/version.txt").body == b"1", "the rollback")
    assert node.http(app, "/s/old.txt").body == b"old"
    # Without [static] the same path is the app's.
    node.deploy(write(tmp_path / "3", "3.0.0", files, ""), app)
    assert node.http(app, "/s/version.txt").text() == "app /s/version.txt"


def test_paths_outlive_a_restart_and_a_reload(own_node, tmp_path):
    own_node.deploy(write(tmp_path), APP)
    own_node.restart()
    assert own_node.http(APP, "/assets/app.js").body == SCRIPT


def test_a_check_reaches_files_too(node, tmp_path):
    check = '\n[[check]]\npath = "/assets/app.js"\ncontains = "hello"\n'
    node.deploy(write(tmp_path, extra=STATIC + check), "demo/checked")
    missing = '\n[[check]]\npath = "/assets/none.js"\n'
    done = node.deploy(
        write(tmp_path, "2.0.0", extra=STATIC + missing), "demo/checked", check=False
    )
    assert done.returncode == 3 and "expected 200, got 404" in done.stdout + done.stderr


BAD = {
    "no-folder": ('"/a/" = "publik/"', "8: [static] '/a/' leads to 'publik/', but the bundle has"),
    "no-file": ('"/a" = "none.txt"', "8: [static] '/a' leads to 'none.txt', but the bundle has no"),
    "dots": ('"/a/" = "../etc"', "8: [static] '/a/' must name a folder in the bundle"),
    "all": ('"/" = "."', "8: [static] '/' must name a folder in the bundle"),
    "twins": ('"/a/" = "public"\n"/a" = "main.py"', "9: [static] '/a' and '/a/' are both there"),
    "own-module": ('"/m.py" = "main.py"', "8: [static] '/m.py' leads to 'main.py', which holds"),
    "many": (
        "\n".join(f'"/{number}/" = "public"' for number in range(65)),
        "72: [static] has more than 64 rows",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense_is_refused_with_its_line(node, tmp_path, name):
    rows, message = BAD[name]
    folder = write(tmp_path, extra="[static]\n" + rows + "\n")
    done = node.deploy(folder, "demo/bad", check=False)
    assert done.returncode == 3
    assert f"{folder}/cloister.toml:{message}" in done.stdout + done.stderr


def test_a_client_that_leaves_in_the_middle(node):
    for _ in range(20):
        with node.connect() as connection:
            connection.send(f"GET /assets/large.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            connection.read_head()
            connection.socket.shutdown(socket.SHUT_RDWR)
    assert node.http(APP, "/assets/app.js").body == SCRIPT
