"""PEP 3333 end to end: an app between wsgiref's validator and real clients."""

import hashlib

import apps
import pytest
from node import host_of
from waiting import wait_until

SETTINGS = {"http": {"body_max": "4MiB"}}
APP = "demo/wsgi"
HOST = host_of(APP)
SOURCE = '''
import hashlib, io, sys, time
from wsgiref.validate import validator

READERS = {
    "read": lambda i: i.read(1 << 30),
    "parts": lambda i: b"".join(iter(lambda: i.read(1000), b"")),
    "readline": lambda i: b"".join(iter(lambda: i.readline(), b"")),
    "limited": lambda i: b"".join(iter(lambda: i.readline(7), b"")),
    "readlines": lambda i: b"".join(i.readlines()),
    "iterate": lambda i: b"".join(i),
    "some": lambda i: i.read(10),
    "nothing": lambda i: b"",
}

class Closing:
    def __init__(self, blocks):
        self.blocks = iter(blocks)
    def __iter__(self):
        return self
    def __next__(self):
        return next(self.blocks)
    def close(self):
        print("closed", flush=True)

def body(environ, start_response):
    data = READERS[environ["QUERY_STRING"]](environ["wsgi.input"])
    text = b"%d %s" % (len(data), hashlib.sha256(data).hexdigest().encode())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]

def generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"%d," % number for number in range(1000))

def closing(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing([b"a", b"b"])

def write(environ, start_response):
    out = start_response("200 OK", [("Content-Type", "text/plain")])
    out(b"one ")
    out(b"two ")
    return [b"three"]

def late(environ, start_response):
    # Not before the iterable is asked for its first block.
    def blocks():
        start_response("201 Created", [("Content-Type", "text/plain")])
        yield b"late"
    return blocks()

def exc_info(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "1")])
    try:
        raise RuntimeError("on the way")
    except RuntimeError:
        start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]

def empty(environ, start_response):
    start_response(environ["QUERY_STRING"].replace("+", " "), [])
    return []

def wrapped(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    size = int(environ["QUERY_STRING"])
    class File(io.BytesIO):
        def close(self):
            print("file closed", flush=True)
            super().close()
    return environ["wsgi.file_wrapper"](File(b"x" * size), 4096)

def paths(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    keys = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI")
    return ["|".join(environ[key] for key in keys).encode("latin-1")]

def endless(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    def blocks():
        while True:
            yield b"x" * 1000
            time.sleep(0.001)
    return Closing(blocks())

def endless_write(environ, start_response):
    out = start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        while True:
            out(b"x" * 1000)
            time.sleep(0.001)
    finally:
        print("write ended by", type(sys.exc_info()[1]).__name__, flush=True)

APPS = {name: value for name, value in list(globals().items()) if callable(value)}
CHECKED = {name: validator(value) for name, value in APPS.items() if name not in READERS}
# The validator wants its own iterator, and no file_wrapper's.
UNCHECKED = {"wrapped", "endless", "endless_write"}

def application(environ, start_response):
    name = environ["PATH_INFO"].split("/")[1] or "paths"
    return (APPS if name in UNCHECKED else CHECKED)[name](environ, start_response)
'''
READERS = ("read", "parts", "readline", "limited", "readlines", "iterate")
BODIES = {
    "empty": b"",
    "small": b"one\ntwo\n\nno newline",
    "inline": b"i" * (16 * 1024),
    "memory": b"line\n" * 13_000,
    "spooled": bytes(range(256)) * 4096,
}


@pytest.fixture(scope="module", autouse=True)
def app(node, tmp_path_factory):
    node.deploy(apps.write_app(tmp_path_factory.mktemp("wsgi"), SOURCE), APP)


@pytest.fixture(autouse=True)
def nothing_was_wrong(node):
    """What the validator finds is an AssertionError in the app's log."""
    yield
    said = "\n".join(event["text"] for event in node.events(APP))
    assert "AssertionError" not in said and "Traceback" not in said


def said(node):
    return [event["text"].strip() for event in node.events(APP)]


def answer_for(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_read_in_every_way(node, reader, body):
    data = BODIES[body]
    target = f"/body?{reader}"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert node.http(APP, target, method=method, body=data).text() == answer_for(data)
    with node.connect() as client:
        head = f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(head.encode())
        for begin in range(0, len(data), 5000):
            piece = data[begin : begin + 5000]
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert client.read_response().text() == answer_for(data)


@pytest.mark.parametrize("reader", READERS)
def test_without_a_body_there_is_nothing_to_read(node, reader):
    for method in ("GET", "OPTIONS", "DELETE", "POST"):
        assert node.http(APP, f"/body?{reader}", method=method).text() == answer_for(b"")


def test_a_body_may_be_read_in_part_or_not_at_all(node):
    with node.connect() as client:
        for reader, size in (("some", 10), ("nothing", 0)) * 3:
            answer = client.request("POST", f"/body?{reader}", HOST, body=b"z" * 300_000)
            assert answer.text() == answer_for(b"z" * size)


def test_bodies_of_every_shape(node):
    assert node.http(APP, "/generator").text() == "".join(f"{n}," for n in range(1000))
    assert node.http(APP, "/write").text() == "one two three"
    late = node.http(APP, "/late")
    assert (late.status, late.text()) == (201, "late")
    failed = node.http(APP, "/exc_info")
    assert (failed.status, failed.text(), failed.header("X-First")) == (500, "sorry", None)


def test_close_is_called_once_each_time(node):
    before = said(node).count("closed")
    assert node.http(APP, "/closing").text() == "ab"
    assert node.http(APP, "/closing", method="HEAD").body == b""
    wait_until(lambda: said(node).count("closed") == before + 2, "close() was called twice")


@pytest.mark.parametrize("name", ["generator", "closing", "write", "late", "body?nothing"])
def test_head_has_the_head_of_get(node, name):
    with node.connect() as client:
        got = client.request("GET", f"/{name}", HOST)
        head = client.request("HEAD", f"/{name}", HOST)
        assert (head.status, head.body) == (got.status, b"")
        assert head.header("Content-Type") == got.header("Content-Type")
        assert client.request("GET", "/late", HOST).text() == "late"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body(node, status):
    with node.connect() as client:
        for method in ("GET", "HEAD", "POST"):
            answer = client.request(method, f"/empty?{status.replace(' ', '+')}", HOST)
            assert (answer.status, answer.body) == (int(status[:3]), b"")
            assert answer.header("Transfer-Encoding") is None


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 1_000_000])
def test_the_file_wrapper_reads_all_and_closes(node, size):
    before = said(node).count("file closed")
    assert node.http(APP, f"/wrapped?{size}").body == b"x" * size
    wait_until(lambda: said(node).count("file closed") == before + 1, "the file was closed")


def test_script_name_and_path_info(node):
    for target, seen in {
        "/": "|/||/",
        "/paths/a%20b/%E2%82%AC?x=%20&y": "|/paths/a b/\u20ac|x=%20&y"
        "|/paths/a%20b/%E2%82%AC?x=%20&y",
        "/paths/a%2Fb": "|/paths/a/b||/paths/a%2Fb",
        "/paths//b/../c/.": "|/paths//b/../c/.||/paths//b/../c/.",
    }.items():
        assert node.http(APP, target).text() == seen


@pytest.mark.parametrize("name", ["endless", "endless_write"])
def test_a_client_that_leaves_ends_the_iterable_soon(node, name):
    mark = {"endless": "closed", "endless_write": "write ended by BrokenPipeError"}[name]
    before = said(node).count(mark)
    with node.connect() as client:
        client.send(f"GET /{name} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert client.read_head().status == 200
    wait_until(lambda: said(node).count(mark) == before + 1, "the app was told", 10)
    # The same worker goes on.
    assert node.http(APP, "/late").text() == "late"
