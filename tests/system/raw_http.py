"""HTTP over a socket, byte by byte: a client that may break every rule, and checks each answer."""

import dataclasses
import json
import socket


class ConnectionEnded(Exception):
    """The other side closed before the answer was complete."""


@dataclasses.dataclass
class Response:
    status: int
    headers: list
    body: bytes
    version: str = "HTTP/1.1"

    def header(self, name):
        """The one value of a header; None when it is absent, an error when it is repeated."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode()


class Connection:
    """One connection to an (address, port) or to the path of a unix socket."""

    def __init__(self, address, timeout=30.0, receive_buffer=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method="GET", target="/", host="localhost", headers=(), body=None):
        """Sends a request and reads its answer."""
        self.send(request_bytes(method, target, host, headers, body))
        return self.read_response(head_only=method == "HEAD")

    def read_response(self, head_only=False):
        """The next final answer; interim ones (1xx) are passed over."""
        while True:
            response = self.read_head()
            if response.status >= 200:
                break
        if head_only or response.status in (204, 304):
            return response
        length = response.header("Content-Length")
        if (response.header("Transfer-Encoding") or "").lower() == "chunked":
            assert length is None, "both Content-Length and chunked"
            response.body = self._read_chunks()
        elif length is not None:
            response.body = self.read_exactly(int(length))
        else:
            response.body = self.read_to_end()
        return response

    def read_head(self):
        head = self._read_through(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head[:-4].split("\r\n")
        version, status, _ = (status_line + " ").split(" ", 2)
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon and name and name == name.strip(), f"a bad header line: {line!r}"
            headers.append((name, value.strip()))
        return Response(int(status), headers, b"", version)

    def _read_chunks(self):
        body = b""
        while True:
            size = int(self._read_through(b"\r\n")[:-2].split(b";")[0], 16)
            data = self.read_exactly(size + 2)
            assert data[size:] == b"\r\n"
            if size == 0:
                return body
            body += data[:size]

    def read_exactly(self, count):
        parts = [self._rest]
        have = len(self._rest)
        while have < count:
            parts.append(self._receive())
            have += len(parts[-1])
        data = b"".join(parts)
        self._rest = data[count:]
        return data[:count]

    def read_to_end(self):
        parts, self._rest = [self._rest], b""
        while data := self.socket.recv(65536):
            parts.append(data)
        return b"".join(parts)

    def is_closed(self):
        """Waits until the other side closes (True) or sends something (False)."""
        try:
            return not self._rest and self.socket.recv(1, socket.MSG_PEEK) == b""
        except ConnectionResetError:
            return True

    def _read_through(self, mark):
        while mark not in self._rest:
            self._rest += self._receive()
        end = self._rest.index(mark) + len(mark)
        data, self._rest = self._rest[:end], self._rest[end:]
        return data

    def _receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionEnded(f"closed after {len(self._rest)} bytes: {self._rest[:200]!r}")
        return data


def request_bytes(method="GET", target="/", host="localhost", headers=(), body=None):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def request(
    address, method="GET", target="/", host="localhost", headers=(), body=None, timeout=30.0
):
    """One request on a connection of its own."""
    with Connection(address, timeout) as connection:
        return connection.request(method, target, host, [*headers, ("Connection", "close")], body)
