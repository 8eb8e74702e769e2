"""HTTP/1.1 as clients really speak it, through the front end to a confined worker and back."""

import contextlib
import gzip
import os
import re
import resource
import threading

import apps
import pytest
import raw_http
from node import host_of
from waiting import wait_until

SETTINGS = {
    "http": {
        "header_timeout": "2s",
        "body_timeout": "2s",
        "idle_timeout": "60s",
        "body_max": "4MiB",
        "connections_max": 12000,
        "connections_per_address_max": 12000,
    }
}
IDLE_CONNECTIONS = 10000
APP = "demo/request"
HOST = host_of(APP)
SOURCE = """
import time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read()
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%06d\\n" % number for number in range(1000))
    if path == "/large":
        size = int(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Length", str(size))])
        return (b"x" * min(65536, size - sent) for sent in range(0, size, 65536))
    if path == "/slow":
        time.sleep(float(environ["QUERY_STRING"]))
    if path == "/environ":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(environ[environ["QUERY_STRING"]]).encode()]
    answer = b"%s %d" % (environ["REQUEST_METHOD"].encode(), len(body))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
"""


@pytest.fixture(scope="module", autouse=True)
def app(node, tmp_path_factory):
    node.deploy(apps.write_app(tmp_path_factory.mktemp("app"), SOURCE), APP)


@pytest.fixture
def client(node):
    with node.connect() as connection:
        yield connection


def get(target="/", method="GET", headers=(), body=None):
    return raw_http.request_bytes(method, target, HOST, headers, body)


# --- connections ---


def test_a_connection_is_kept_and_each_answer_is_dated_and_named(client):
    seen = set()
    for _ in range(100):
        answer = client.request(host=HOST)
        assert (answer.status, answer.body, answer.version) == (200, b"GET 0", "HTTP/1.1")
        assert answer.header("Date")
        seen.add(answer.header("X-Request-Id"))
    assert len(seen) == 100


def test_pipelined_requests_are_answered_in_order(client):
    targets = [
        f"/environ?{name}" for name in ("REQUEST_METHOD", "PATH_INFO", "SERVER_PROTOCOL")
    ] * 10
    client.send(b"".join(get(target) for target in targets))
    answers = [client.read_response().text() for _ in targets]
    assert answers == ["'GET'", "'/environ'", "'HTTP/1.1'"] * 10


def test_a_slow_request_does_not_let_later_ones_pass(client):
    client.send(get("/slow?0.3", "PUT") + get())
    assert client.read_response().body == b"PUT 0"
    assert client.read_response().body == b"GET 0"


def test_connection_close_is_kept_to(client):
    answer = client.request(host=HOST, headers=[("Connection", "close")])
    assert answer.status == 200
    assert answer.header("Connection") == "close"
    assert client.is_closed()


def test_http_1_0_closes_and_gets_no_chunks(client):
    client.send(f"GET /stream HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    answer = client.read_response()
    assert answer.header("Transfer-Encoding") is None
    assert len(answer.body) == 7000
    assert client.is_closed()


# --- bodies ---


def test_an_answer_of_unknown_length_comes_in_chunks(client):
    answer = client.request(target="/stream", host=HOST)
    assert answer.header("Transfer-Encoding") == "chunked"
    assert answer.text().splitlines() == [f"{number:06d}" for number in range(1000)]
    assert client.request(host=HOST).status == 200


def test_a_chunked_request_is_complete_when_the_app_gets_it(client):
    client.send(get("/", "POST", [("Transfer-Encoding", "chunked")]))
    for piece in (b"a" * 10, b"b" * 70000, b"c"):
        client.send(b"%x;extension=1\r\n%s\r\n" % (len(piece), piece))
    client.send(b"0\r\nX-Trailer: 1\r\n\r\n")
    assert client.read_response().body == b"POST 70011"
    assert client.request(host=HOST).body == b"GET 0"


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 64 * 1024, 64 * 1024 + 1, 4 * 1024 * 1024])
def test_bodies_of_every_size_arrive(client, size):
    assert client.request("POST", host=HOST, body=b"x" * size).body == b"POST %d" % size


def test_a_client_that_expects_100_is_told_to_go_on(client):
    client.send(get("/", "POST", [("Expect", "100-continue"), ("Content-Length", "5")]))
    assert client.read_head().status == 100
    client.send(b"12345")
    assert client.read_response().body == b"POST 5"


def test_head_has_the_head_and_no_body(client):
    answer = client.request("HEAD", host=HOST)
    assert (answer.status, answer.header("Content-Length")) == (200, "6")
    assert client.request(host=HOST).body == b"GET 0"


def test_bytes_pass_unchanged(node, tmp_path):
    source = "def application(e, s):\n s('200 OK', [])\n return [e['wsgi.input'].read()]\n"
    node.deploy(apps.write_app(tmp_path, source), "demo/echo")
    body = gzip.compress(os.urandom(300_000)) + bytes(range(256))
    assert node.http("demo/echo", method="POST", body=body).body == body


# --- limits: what is refused, and that it leaves the connection in no doubtful state ---

REFUSED = {
    "no-host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two-hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "length-and-chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two-lengths": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        400,
    ),
    "negative-length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    "huge-length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        400,
    ),
    "folded-header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
    "space-before-colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "nul-in-header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
    "bare-cr": (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n", 400),
    "bare-lf": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "http-2": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "star": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "not-http": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400),
    "head-too-large": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 431),
    "too-many-headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
    "body-too-large": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n", 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_refused(client, name):
    request, status = REFUSED[name]
    client.send(request)
    answer = client.read_response()
    accepted = {status, 400} if status == 505 else {status}
    assert answer.status in accepted
    assert client.is_closed()


def test_a_chunked_body_over_the_limit(client):
    client.send(get("/", "POST", [("Transfer-Encoding", "chunked")]))
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert client.read_response().status == 413


def test_an_app_cannot_be_told_false_things_by_header_names(client):
    answer = client.request(
        target="/environ?REMOTE_ADDR",
        host=HOST,
        headers=[("Remote_Addr", "6.6.6.6"), ("Remote-Addr", "6")],
    )
    assert answer.status in (200, 400)
    assert b"6.6.6.6" not in answer.body


# --- slow ones ---


def test_a_head_that_never_ends_is_given_up(node):
    with node.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: ")
        answer = client.read_response()
        assert answer.status == 408
        assert client.is_closed()


def test_a_body_that_never_comes_is_given_up_and_no_worker_waits_for_it(node):
    with node.connect() as client:
        client.send(get("/", "POST", [("Content-Length", "100000")]) + b"x" * 10)
        busy = [row for row in node.json("ps", APP)["workers"] if row["state"] == "busy"]
        assert not busy
        assert client.read_response().status == 408
        assert client.is_closed()


def test_a_slow_reader_does_not_hold_a_worker(node, client):
    size = 16 * 1024 * 1024
    with node.connect(receive_buffer=4096) as slow:
        slow.send(get(f"/large?{size}"))
        slow.read_head()

        def free():
            return all(row["state"] == "idle" for row in node.json("ps", APP)["workers"])

        wait_until(free, "the worker is free while its answer is still being read")
        assert client.request(host=HOST).body == b"GET 0"
        assert len(slow.read_exactly(size)) == size


def test_slow_heads_leave_the_node_answering(node):
    with contextlib.ExitStack() as open_ones:
        for _ in range(1000):
            slow = open_ones.enter_context(node.connect())
            slow.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        for _ in range(100):
            assert node.http(APP).body == b"GET 0"


def test_ten_thousand_idle_connections(node):
    limit = IDLE_CONNECTIONS + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < limit:
        pytest.skip(f"this user may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    with contextlib.ExitStack() as open_ones:
        idle = []
        for _ in range(IDLE_CONNECTIONS):
            idle.append(open_ones.enter_context(node.connect()))
        assert idle[0].request(host=HOST).body == b"GET 0"
        for _ in range(100):
            assert node.http(APP).body == b"GET 0"
        for connection in (idle[0], idle[IDLE_CONNECTIONS // 2], idle[-1]):
            assert connection.request(host=HOST).body == b"GET 0"


# --- many at once ---


def test_many_clients_at_once_each_get_their_own_answer(node):
    wrong = []

    def client_of(number):
        with node.connect() as connection:
            for turn in range(50):
                answer = connection.request("POST", host=HOST, body=b"x" * (number * 50 + turn))
                if answer.body != b"POST %d" % (number * 50 + turn):
                    wrong.append((number, turn, answer))

    threads = [threading.Thread(target=client_of, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_beyond_the_queue_clients_are_told_to_come_back(make_node, tmp_path):
    node = make_node({"limits": {"queue": 2, "workers": 1}}).start()
    node.deploy(apps.write_app(tmp_path, SOURCE), APP)
    with contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(node.connect()) for _ in range(30)]
        for client in clients:
            client.send(get("/slow?1"))
        answers = [client.read_response() for client in clients]
    refused = [answer for answer in answers if answer.status == 503]
    assert refused and all(answer.header("Retry-After") for answer in refused)
    assert {answer.status for answer in answers} == {200, 503}


def test_each_request_has_its_line_in_the_access_log(node):
    answer = node.http(APP, "/environ?PATH_INFO", headers=[("X-Request-Id", "the-clients-own")])
    own = answer.header("X-Request-Id")
    assert own != "the-clients-own"
    line = wait_until(
        lambda: [line for line in node.log().splitlines() if own in line], "the access log"
    )[0]
    for word in ("200", APP, "1.0.0", "the-clients-own"):
        assert word in line
    assert re.search(r"(queue|queued)\w*=\d+", line) and re.search(r"(worker|service)\w*=\d+", line)
