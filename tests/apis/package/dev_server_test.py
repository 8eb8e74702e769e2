"""python3 -m cloister.dev: an app served without a node."""

import json
import os
import re
import signal
import socket

import apps
import pytest
import raw_http
from node import free_port
from waiting import wait_until

APP = """
import json
import logging
import os
import sys
import tempfile

import cloister

log = logging.getLogger("shop")
log.setLevel(logging.INFO)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/say":
        print("to stdout")
        print("no end", end="", file=sys.stderr)
        log.info("sold", extra={"user": 3, "city": "New York"})
    elif path == "/boom":
        raise KeyError("boom")
    elif path == "/late":
        def blocks():
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"a"
            yield b"b"
        return blocks()
    elif path == "/bad":
        start_response("200 OK", [("X-A", "a\\nb")])
        return [b""]
    elif path.startswith("/object"):
        id = cloister.persistence.write(b"bytes of an object")
        start_response("200 OK", [("Cloister-Object", path[8:] or id), ("Content-Length", "0")])
        return [b""]
    elif path == "/write":
        open(os.path.join(os.path.dirname(__file__), "new.txt"), "w").close()
    elif path == "/endless":
        def endless():
            start_response("200 OK", [("Content-Type", "text/plain")])
            while True:
                yield bytes(65536)
        return endless()
    elif path == "/temporary":
        for make in (tempfile.TemporaryFile, tempfile.NamedTemporaryFile):
            make().close()
        with tempfile.TemporaryDirectory() as folder:
            open(os.path.join(folder, "a"), "w").close()
    elif path == "/named":
        name = f"/tmp/cloister-dev-{os.getpid()}"
        open(name, "w").close()
        os.remove(name)
    elif path == "/handler":
        logging.FileHandler("app.log")
    elif path == "/visits":
        body = b"%d" % cloister.cache.incr("visits", initial=1)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    kept = {key: value for key, value in environ.items() if isinstance(value, (str, bool))}
    kept["body"] = environ["wsgi.input"].read().decode()
    kept["colour"] = os.environ.get("COLOUR")
    start_response("201 Created", [("Content-Type", "application/json"), ("X-Request-Id", "own")])
    return [json.dumps(kept).encode()]
"""
STATIC = '\n[static]\n"/assets/" = "public/"\n"/logo" = { file = "public/a.css", cache = "1h" }\n'


class Served:
    def __init__(self, dev, folder, *arguments):
        self.folder = folder
        self.log_file = folder.parent / "dev.log"
        self.port = free_port()
        self.process = dev.start(
            "--dir", folder, "--port", self.port, *arguments, log=self.log_file
        )
        wait_until(self.is_up, self.log, 20)

    def is_up(self):
        try:
            return self.http("/assets/").status > 0
        except (OSError, raw_http.ConnectionEnded):
            return False

    def page(self):
        """GET /; the status is 0 when it was under way while the process was replaced."""
        try:
            return self.http("/")
        except (ConnectionResetError, raw_http.ConnectionEnded):
            return raw_http.Response(0, [], b"", "")

    def log(self):
        return self.log_file.read_text()

    def http(self, target, method="GET", headers=(), body=None):
        return raw_http.request(
            ("127.0.0.1", self.port), method, target, "shop.test:81", headers, body, 20
        )


@pytest.fixture
def folder(tmp_path):
    files = {"public/a.css": "body{}", "public/index.html": "<p>", ".cloister.env": "COLOUR=red\n"}
    return apps.write_app(tmp_path / "app", APP, files=files, extra=STATIC)


@pytest.fixture
def served(dev, folder):
    return Served(dev, folder, "--no-reload")


def test_a_request_is_as_in_a_worker(served):
    answer = served.http("/a%2Fb?c=d", "POST", [("X-Twice", "1"), ("X-Twice", "2")], b"body")
    assert answer.status == 201
    environ = json.loads(answer.body)
    assert environ["PATH_INFO"] == "/a/b" and environ["REQUEST_URI"] == "/a%2Fb?c=d"
    assert environ["body"] == "body" and environ["CONTENT_LENGTH"] == "4"
    assert environ["HTTP_X_TWICE"] == "1,2" and environ["SCRIPT_NAME"] == ""
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("shop.test", "81")
    assert environ["wsgi.multithread"] is False and environ["wsgi.input_terminated"] is True
    assert environ["cloister.request_id"] == answer.header("X-Request-Id")
    assert environ["colour"] == "red" and "PATH" not in environ


def test_a_chunked_body_is_complete_with_its_length(served):
    with socket.create_connection(("127.0.0.1", served.port), 10) as peer:
        peer.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        text = b"".join(iter(lambda: peer.recv(4096), b""))
    assert b'"body": "abcde"' in text and b'"CONTENT_LENGTH": "5"' in text


def test_answers_are_framed(served):
    late = served.http("/late")
    assert late.body == b"ab" and late.header("Transfer-Encoding") == "chunked"
    assert served.http("/visits").header("Content-Length") == "1"
    head = served.http("/visits", "HEAD")
    assert head.status == 200 and head.body == b""
    assert served.http("/visits").body == b"3"


def test_what_the_app_says_is_shown_as_cloister_logs_shows_it(served):
    request_id = served.http("/say").header("X-Request-Id")

    def shown():
        return re.sub(r"(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", served.log())

    # The line without an end is over with the request, after its answer.
    wait_until(lambda: f"TIME 1.0.0 stderr {request_id}  no end\n" in shown(), served.log)
    assert f"TIME 1.0.0 stdout {request_id}  to stdout\n" in shown()
    line = f'TIME 1.0.0 logging info shop {request_id}  sold city="New York" user=3\n'
    assert shown().count("sold") == 1 and line in shown()


def test_an_exception_is_a_500_with_its_traceback_in_the_log(served):
    for path in ("/boom", "/bad"):
        answer = served.http(path)
        assert answer.status == 500
        assert answer.header("X-Request-Id").encode() in answer.body
    assert "KeyError: 'boom'" in served.log() and "cloister/dev/" not in served.log()
    assert "a header has characters" in served.log()


def test_static_files_come_without_the_app(served):
    answer = served.http("/assets/a.css")
    assert answer.body == b"body{}" and answer.header("Content-Type") == "text/css; charset=utf-8"
    assert answer.header("Cache-Control") == "no-cache"
    tag = answer.header("ETag")
    assert served.http("/assets/a.css", headers=[("If-None-Match", tag)]).status == 304
    assert served.http("/assets/a.css", "POST").status == 405
    assert served.http("/logo").header("Cache-Control") == "public, max-age=3600"
    assert served.http("/assets/").body == b"<p>"
    part = served.http("/assets/a.css", headers=[("Range", "bytes=1-2")])
    assert (part.status, part.body, part.header("Content-Range")) == (206, b"od", "bytes 1-2/6")
    assert served.http("/assets/a.css", headers=[("Range", "bytes=-2")]).body == b"{}"
    assert served.http("/assets/a.css", headers=[("Range", "bytes=4-")]).body == b"{}"
    assert served.http("/assets/a.css", headers=[("Range", "bytes=6-")]).status == 416
    changed = [("Range", "bytes=1-2"), ("If-Range", '"other"')]
    assert served.http("/assets/a.css", headers=changed).status == 200
    for path in ("/assets/none", "/assets/../main.py", "/assets/%2e%2e/main.py", "/assets/%00"):
        assert served.http(path).status == 201, path


def test_an_object_that_a_response_names_is_its_body(served):
    answer = served.http("/object")
    assert (answer.status, answer.body) == (200, b"bytes of an object")
    tag = answer.header("ETag")
    assert answer.header("Cloister-Object") is None and tag.strip('"') == tag[1:65]
    assert served.http("/object", headers=[("If-None-Match", tag)]).status == 304
    assert served.http("/object", "HEAD").header("Content-Length") == "18"
    assert served.http("/object/" + "0" * 64).status == 404
    assert served.http("/object/none").status == 500
    assert "64 hexadecimal digits" in served.log()


def test_what_a_node_refuses_is_refused_or_noted(served):
    answer = served.http("/handler")
    assert answer.status == 500
    assert "FileHandler writes files, which a worker has not" in served.log()


def test_files_change_and_the_server_starts_anew(dev, folder):
    served = Served(dev, folder)
    assert served.http("/visits").body == b"1"
    source = folder / "main.py"
    source.write_text(APP.replace("201 Created", "202 Accepted"))
    wait_until(lambda: served.page().status == 202, served.log, 20)
    source.write_text("syntax error here\n")
    wait_until(lambda: served.page().status == 500, served.log, 20)
    broken = served.http("/", "POST", body=b"x")
    assert b"SyntaxError" in broken.body and b"main.py" in broken.body
    assert served.http("/assets/a.css").body == b"body{}"
    assert "SyntaxError" in served.log() and "waiting for a change" in served.log()
    # What ends the process is answered as well.
    source.write_text("import os\nos._exit(9)\n")
    wait_until(lambda: b"ended with 9" in served.page().body, served.log, 20)
    source.write_text(APP)
    wait_until(lambda: served.page().status == 201, served.log, 20)
    # So is a manifest that cannot be read, and an entry that is not there.
    manifest = folder / "cloister.toml"
    text = manifest.read_text()
    no_entry = text.replace(":app", ":x")
    for bad, code in ((text + "[app", b"manifest_invalid"), (no_entry, b"entry_missing")):
        manifest.write_text(bad)
        wait_until(lambda code=code: code in served.page().body, served.log, 20)
    manifest.write_text(text)
    wait_until(lambda: served.page().status == 201, served.log, 20)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0


def test_a_client_that_leaves_is_no_news(served):
    with socket.create_connection(("127.0.0.1", served.port), 10) as peer:
        peer.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")
    # One request at a time: the endless one is over when this is answered.
    assert served.http("/visits").body == b"1"
    assert "Traceback" not in served.log() and "BrokenPipe" not in served.log()


def test_temporary_files_are_no_news_and_named_ones_below_tmp_are(served):
    assert served.http("/temporary").status == 201
    assert "note:" not in served.log()
    assert served.http("/named").status == 201
    assert re.search(r"note: /tmp/cloister-dev-\d+ was opened.*memory of one worker", served.log())
    assert served.http("/write").status == 201
    assert re.search(r"new.txt was opened to be written: on a node files are", served.log())


NOTED = {
    "open('/etc/passwd').close()": "/etc/passwd was opened: a worker on a node has the files of",
    "os.listdir('/etc')": "/etc was listed: a worker on a node has the files of",
    "pathlib.Path('/etc/hostname').read_bytes()": "/etc/hostname was opened: a worker",
    "os.mkdir('made')": "os.mkdir was called for",
    "os.kill(os.getpid(), 0)": "os.kill was called: a worker on a node cannot send signals",
    "import ctypes": "ctypes was imported: workers on a node do not have this module",
    "sqlite3.connect('file.db').close()": "file.db was opened with sqlite3: a worker on a node",
    "open('written', 'w').close()": "cloister.persistence keeps what must stay",
}
SILENT = [
    "open(__file__).close()",
    "os.listdir(os.path.dirname(__file__))",
    "sqlite3.connect(':memory:').close()",
    "cloister.db.connect().close()",
    "import json.tool, mimetypes, zoneinfo; mimetypes.init(); zoneinfo.ZoneInfo('Europe/Berlin')",
    "import flask, importlib.metadata; importlib.metadata.version('flask')",
]
DOES = """
import os, pathlib, sqlite3
import cloister

os.chdir(os.path.dirname(__file__))
{}

def application(environ, start_response):
    start_response("200 OK", [])
    return []
"""


@pytest.mark.parametrize("line", NOTED)
def test_what_a_node_does_not_allow_is_noted(dev, tmp_path, line):
    done = dev("--check", "--dir", apps.write_app(tmp_path / "app", DOES.format(line)))
    assert done.returncode == 0 and NOTED[line] in done.stderr, done.stderr


def test_what_a_node_allows_is_not_noted(dev, tmp_path):
    app = apps.write_app(tmp_path / "app", DOES.format("\n".join(SILENT)))
    done = dev("--check", "--dir", app)
    assert done.returncode == 0 and "note:" not in done.stderr, done.stderr


@pytest.mark.parametrize("arguments", [[], ["--no-reload"]])
def test_ctrl_c_ends_it_without_a_word(dev, folder, arguments):
    served = Served(dev, folder, *arguments)
    os.killpg(served.process.pid, signal.SIGINT)
    assert served.process.wait(20) == 0
    assert "Traceback" not in served.log()


def test_the_child_ends_with_its_parent_however_that_ends(dev, folder):
    served = Served(dev, folder)
    served.process.kill()
    served.process.wait()

    def is_gone():
        try:
            socket.create_connection(("127.0.0.1", served.port), 1).close()
        except OSError:
            return True
        return False

    wait_until(is_gone, served.log, 20)


CHECKS = """
[[check]]
path = "/assets/a.css"
contains = "body"

[[check]]
path = "/x"
method = "POST"
body = "abc"
status = 201
matches = '"body": "abc"'
"""


def test_checks(dev, tmp_path, folder):
    done = dev("--dir", folder, "--check")
    assert done.returncode == 0 and "check GET /: 201" in done.stderr
    manifest = folder / "cloister.toml"
    manifest.write_text(manifest.read_text() + CHECKS)
    done = dev("--dir", folder, "--check")
    assert done.returncode == 0 and "check POST /x: 201" in done.stderr, done.stderr
    for before, after, why in (
        ("status = 201", "status = 200", "status 201, expected 200"),
        ('"body": "abc"', "abcd", "nothing in the body matches 'abcd'"),
        ('contains = "body"', 'contains = "x"', "the body has no 'x'"),
        ("/assets/a.css", "/boom", "status 500, expected 200"),
    ):
        changed = CHECKS.replace(before, after)
        text = manifest.read_text()
        manifest.write_text(text.replace(CHECKS, changed))
        done = dev("--dir", folder, "--check")
        manifest.write_text(text)
        assert done.returncode == 3 and "error[check_failed]: " in done.stderr, done.stderr
        assert why in done.stderr


def test_the_release_script_runs_before_the_app_serves(dev, folder):
    manifest = folder / "cloister.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace("[entry]", '[entry]\nrelease = "bring:run"'))
    script = folder / "bring.py"
    script.write_text("def run():\n    print('brought forward')\n    exit(0)\n")
    done = dev("--dir", folder, "--check")
    assert done.returncode == 0, done.stderr
    assert "brought forward" in done.stdout + done.stderr
    script.write_text("def run():\n    raise KeyError('no such column')\n")
    done = dev("--dir", folder, "--check")
    assert done.returncode == 3
    assert "error[release_failed]: KeyError: 'no such column'" in done.stderr
    script.write_text("def run():\n    exit(3)\n")
    done = dev("--dir", folder, "--check")
    assert done.returncode == 3 and "error[release_failed]" in done.stderr
    assert "ended with 3; it ends well by returning, or with sys.exit(0)" in done.stderr


BAD = [
    (["--port", "x"], "usage", 2, "invalid int"),
    (["--port", "70000"], "usage", 2, "not a port"),
    (["--dir", "/no/such"], "usage", 2, "is no folder"),
    (["main:applicatio"], "entry_missing", 3, "did you mean 'application'?"),
    (["mian:app"], "entry_missing", 3, "did you mean 'main'?"),
    (["main:APP:x"], "usage", 2, "MODULE:CALLABLE"),
    (["main:log"], "entry_not_callable", 3, "cannot be called"),
    (["--config", "/no/such"], "file_unreadable", 1, "No such file"),
]


@pytest.mark.parametrize("arguments, code, exit_code, why", BAD)
def test_what_cannot_be_done_has_a_code_and_the_exit_code_of_it(
    dev, folder, arguments, code, exit_code, why
):
    done = dev("--check", "--dir", folder, *arguments)
    assert done.returncode == exit_code, done.stderr
    assert f"error[{code}]: " in done.stderr
    assert why in done.stderr and "Traceback" not in done.stderr


BAD_FILES = [
    ("cloister.toml", "[app", "cloister.toml"),
    ("cloister.toml", "app = 1\n", "[app] must be a table"),
    ("cloister.toml", '[entry]\nweb = 5\n', "web must be of type str"),
    ("cloister.toml", '[[check]]\npath = "x"\n', "must begin with '/'"),
    ("cloister.toml", '[[check]]\npath = "/"\nmatches = "("\n', "no pattern"),
    ("cloister.toml", '[limits]\nwall = "5"\n', "duration with its unit"),
    ("cloister.toml", "[static]\n'/a' = 5\n", "[static]"),
    (".cloister.env", "A=1\nA=2\n", ".cloister.env:2: A is there twice"),
    (".cloister.env", "nonsense\n", ".cloister.env:1"),
    (".cloister.env", "\nPATH=/bin\n", ".cloister.env:2: PATH cannot be a key"),
    (".cloister.env", "LD_PRELOAD=x\n", "LD_PRELOAD cannot be a key"),
    (".cloister.env", b"A=\xff\n", ".cloister.env"),
]


@pytest.mark.parametrize("name, text, why", BAD_FILES)
def test_a_wrong_file_is_said_with_its_code(dev, folder, name, text, why):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    done = dev("--check", "--dir", folder)
    code, exit_code = ("manifest_invalid", 3) if "toml" in name else ("config_invalid", 2)
    assert done.returncode == exit_code, done.stderr
    assert f"error[{code}]: " in done.stderr
    assert why in done.stderr and "Traceback" not in done.stderr


def test_config_that_is_required_must_be_there(dev, folder):
    manifest = folder / "cloister.toml"
    manifest.write_text(manifest.read_text() + '\n[config]\nrequired = ["COLOUR", "KEY"]\n')
    done = dev("--check", "--dir", folder)
    assert done.returncode == 3 and "error[config_missing]: " in done.stderr
    assert "wants KEY\nhelp: put KEY=... into" in done.stderr
    (folder / "other.env").write_text('# a comment\nexport COLOUR="blue"\nKEY=\n')
    assert dev("--check", "--dir", folder, "--config", folder / "other.env").returncode == 0


def test_an_app_that_cannot_be_imported_is_shown(dev, folder):
    (folder / "main.py").write_text("import nothing_of_that_name\n")
    done = dev("--check", "--dir", folder)
    assert done.returncode == 3
    assert "error[import_error]: ModuleNotFoundError: No module named 'nothing_of" in done.stderr


def test_a_taken_port_is_said(dev, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = dev("--dir", folder, "--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert "error[listen_failed]: cannot listen on 127.0.0.1" in done.stderr
    assert "help: take another port with --port" in done.stderr
