"""Sending a large object by its id, beside nginx that serves the same file.

nginx with sendfile, one worker process. The client takes all of it and keeps nothing.
"""

import hashlib
import os
import socket
import time

import sides

SIZE = 100 << 20
APP = """
def application(environ, start_response):
    if environ['PATH_INFO'] == '/':
        start_response('200 OK', [('Content-Length', '12')])
        return [b'Hello, world']
    start_response('200 OK', [('Cloister-Object', environ['PATH_INFO'][1:])])
    return []
"""


class NginxFiles(sides.Side):
    name = "nginx"

    def commands(self):
        location = f"sendfile on; tcp_nopush on; root {self.folder}/files;"
        return [sides.nginx(self, location)]


class ObjectSends:
    def __init__(self, bench_node, folder, cleanup):
        self.port = bench_node.node.port
        bench_node.deploy("send", 1, APP)
        self.host = "send.bench.localhost"
        self.nginx = NginxFiles(folder)
        files = self.nginx.folder / "files"
        files.mkdir()
        (files / "index.html").write_bytes(b"Hello, world")
        data = os.urandom(SIZE)
        (files / "object").write_bytes(data)
        self.id = hashlib.sha256(data).hexdigest()
        bench_node.node.cli("objects", "put", "bench/send", files / "object")
        self.nginx.start()
        cleanup.callback(self.nginx.stop)
        # The first time each part is looked at.
        self.round()

    def round(self):
        """Seconds of each side."""
        return {
            "node_s": seconds_of(self.port, self.host, "/" + self.id),
            "nginx_s": seconds_of(self.nginx.port, "localhost", "/object"),
        }


def seconds_of(port, host, target):
    buffer = bytearray(1 << 20)
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 60.0) as peer:
        peer.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        received = 0
        while count := peer.recv_into(buffer):
            received += count
    seconds = time.perf_counter() - began
    assert received > SIZE, bytes(buffer[:500])
    return seconds
