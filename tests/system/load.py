"""Clients without a pause while an app is swapped, hung up on or broken into."""

import threading
import time

from node import host_of
from raw_http import ConnectionEnded
from waiting import wait_until

OLD, NEW = b"old!", b"new!"
# Answers OLD; /slow?SECONDS takes its time, /stream answers it PIECES times, piece by piece.
PIECES = 20
SOURCE = """
import time

def application(environ, start_response):
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(float(environ["QUERY_STRING"]))
        print("slow is done")
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"old!"]

def stream():
    for _ in range(20):
        yield b"old!"
        time.sleep(0.001)
"""
NEW_SOURCE = SOURCE.replace("old!", "new!")


def request_of(app):
    return f"GET / HTTP/1.1\r\nHost: {host_of(app)}\r\n\r\n".encode()


# --- clients: each yields when it had completed a head, and the answer


def one_by_one(client, request):
    began = time.monotonic()
    client.send(request)
    yield began, client.read_response()


def pipelined(client, request):
    began = time.monotonic()
    client.send(request * 8)
    for _ in range(8):
        yield began, client.read_response()


def byte_by_byte(client, request):
    for at in range(len(request) - 1):
        client.send(request[at : at + 1])
        time.sleep(0.002)
    began = time.monotonic()
    client.send(request[-1:])
    yield began, client.read_response()


def pipelined_in_pieces(client, request):
    """A whole request, and half of the next one, whose other half comes after the first answer."""
    began = time.monotonic()
    client.send(request + request[:20])
    yield began, client.read_response()
    began = time.monotonic()
    client.send(request[20:])
    yield began, client.read_response()


def uploading(client, request):
    """A body that goes to a file on its way."""
    head = request.replace(b"GET ", b"POST ")[:-2] + b"Content-Length: 200000\r\n\r\n"
    began = time.monotonic()
    client.send(head)
    for _ in range(10):
        client.send(bytes(20_000))
        time.sleep(0.002)
    yield began, client.read_response()


def streamed(client, request):
    began = time.monotonic()
    client.send(request.replace(b" / ", b" /stream "))
    response = client.read_response()
    if response.body == response.body[:4] * PIECES:
        response.body = response.body[:4]
    yield began, response


class Load:
    """Clients that each use one connection for as long as there is load."""

    def __init__(self, node, app, kinds):
        self.node = node
        self.request = request_of(app)
        self.answers = 0
        self.problems = []
        self.new_seen = None  # when a client first had the new release's answer
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._run, args=(kind,)) for kind in kinds]

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        for client in self._clients:
            client.join()

    def wait_for_more(self, count=500):
        already = self.answers
        wait_until(lambda: self.answers > already + count or self.problems, "the load goes on")
        assert not self.problems, self.problems

    def _run(self, kind):
        try:
            with self.node.connect() as client:
                while not self._stop.is_set():
                    for began, response in kind(client, self.request):
                        self._note(kind, began, response)
        except (ConnectionEnded, OSError) as problem:
            self.problems.append((kind.__name__, repr(problem)))

    def _note(self, kind, began, response):
        self.answers += 1
        if response.status != 200 or response.header("Connection"):
            self.problems.append((kind.__name__, response.status, response.headers, response.body))
        elif response.body == NEW:
            self.new_seen = self.new_seen or time.monotonic()
        elif response.body != OLD or (self.new_seen and began > self.new_seen):
            self.problems.append((kind.__name__, began, self.new_seen, response.body))


EVERY_KIND = [one_by_one, pipelined, byte_by_byte, pipelined_in_pieces] * 4
EVERY_KIND += [uploading, streamed] * 2
