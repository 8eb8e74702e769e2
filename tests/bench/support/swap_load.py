"""Clients that ask without a pause while an app is swapped, and what they saw.

The app answers "v" and a number that grows with each swap. A response is stale when it shows a
number below one that some client had already seen when the request was sent (I9).
"""

import ctypes
import dataclasses
import multiprocessing
import selectors
import socket
import time

PIPELINED = 4


@dataclasses.dataclass
class Seen:
    """What one load saw."""

    requests: int = 0
    failed: int = 0
    stale: int = 0
    gap_ms: float = 0.0  # the longest time without an answer for any client
    latencies_ms: list = dataclasses.field(default_factory=list)
    faults: dict = dataclasses.field(default_factory=dict)

    def fail(self, why, count=1):
        self.failed += count
        self.faults[why] = self.faults.get(why, 0) + count

    def p99_ms(self):
        values = sorted(self.latencies_ms)
        return values[len(values) * 99 // 100] if values else float("nan")


class _Client:
    """One connection with `depth` requests under way, opened again when it is closed."""

    def __init__(self, port, host, depth):
        self.port, self.depth = port, depth
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.socket = None
        self.sent = []  # (time, number that was known then), of the requests under way
        self.bytes = b""

    def open(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.bytes = b""

    def ask(self, newest):
        now = time.monotonic()
        missing = self.depth - len(self.sent)
        self.sent += [(now, newest)] * missing
        self.socket.sendall(self.request * missing)

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.sent.clear()

    def take(self):
        """The bodies and statuses of the responses that are complete; None: it was closed."""
        chunk = self.socket.recv(65536)
        if not chunk:
            return None
        self.bytes += chunk
        answers = []
        while b"\r\n\r\n" in self.bytes:
            head, _, rest = self.bytes.partition(b"\r\n\r\n")
            length = _length_of(head)
            if length is None or len(rest) < length:
                break
            answers.append((int(head[9:12]), rest[:length], b"connection: close" in head.lower()))
            self.bytes = rest[length:]
        return answers


def _length_of(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None


class SwapLoad:
    """Eight keep-alive clients and one that pipelines, from start() to stop().

    In a process of its own: whoever swaps does not make them wait.
    """

    def __init__(self, port, host, keep_alive=8, pipelining=1):
        self.seen = Seen()
        self._clients = [_Client(port, host, 1) for _ in range(keep_alive)]
        self._clients += [_Client(port, host, PIPELINED) for _ in range(pipelining)]
        self._newest = 0
        self._last_answer = None
        self._shown = multiprocessing.Value(ctypes.c_uint64, 0)
        self._failed = multiprocessing.Value(ctypes.c_uint64, 0)
        self._stopping = multiprocessing.Event()
        self._result, self._sender = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.Process(target=self._run)

    def start(self):
        self._process.start()
        self._sender.close()
        return self

    def stop(self):
        self._stopping.set()
        seen = self._result.recv()
        self._process.join()
        return seen

    @property
    def newest(self):
        """The highest number that a client has seen."""
        return self._shown.value

    @property
    def failed(self):
        """Requests that failed so far."""
        return self._failed.value

    def _run(self):
        self._ask_until_stopped()
        self._sender.send(self.seen)

    def _ask_until_stopped(self):
        with selectors.DefaultSelector() as selector:
            for client in self._clients:
                self._connect(selector, client)
            while not self._stopping.is_set():
                for key, _ in selector.select(1.0):
                    self._serve(selector, key.data)
            for client in self._clients:
                client.close()

    def _connect(self, selector, client):
        deadline = time.monotonic() + 10
        while True:
            try:
                client.open()
                client.ask(self._newest)
                selector.register(client.socket, selectors.EVENT_READ, client)
                return
            except OSError as problem:
                self._fail(f"connect: {type(problem).__name__}")
                client.close()
                if self._stopping.is_set() or time.monotonic() > deadline:
                    return
                time.sleep(0.002)

    def _again(self, selector, client):
        selector.unregister(client.socket)
        client.close()
        self._connect(selector, client)

    def _serve(self, selector, client):
        try:
            answers = client.take()
        except OSError as problem:
            self._fail(f"read: {type(problem).__name__}", len(client.sent))
            return self._again(selector, client)
        if answers is None:
            self._fail("closed", len(client.sent))
            return self._again(selector, client)
        closes = False
        for status, body, close in answers:
            self._note(client.sent.pop(0), status, body)
            closes = closes or close
        if closes:
            return self._again(selector, client)
        if answers:
            client.ask(self._newest)
        return None

    def _fail(self, why, count=1):
        self.seen.fail(why, count)
        self._failed.value = self.seen.failed

    def _note(self, sent, status, body):
        now = time.monotonic()
        if self._last_answer is not None:
            self.seen.gap_ms = max(self.seen.gap_ms, (now - self._last_answer) * 1000)
        self._last_answer = now
        self.seen.requests += 1
        self.seen.latencies_ms.append((now - sent[0]) * 1000)
        if status != 200 or not body.startswith(b"v"):
            return self._fail(f"status {status}")
        number = int(body[1:])
        if number < sent[1]:
            self.seen.stale += 1
        if number > self._newest:
            self._newest = self._shown.value = number
        return None
