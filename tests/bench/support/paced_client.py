"""Requests at a steady rate: paced_client.py PORT HOST RATE SECONDS CONNECTIONS

An open loop: each request has a time when it is due, and its latency counts from then, so that a
server that stalls cannot slow down who measures it. Prints one line of JSON: latencies in
microseconds of what was answered 200, sorted, and how many were answered with each other status.
A node's clients are on other machines: where it may, this one goes before all that it measures.
"""

import collections
import contextlib
import json
import os
import selectors
import socket
import sys
import time


class Client:
    """One connection; one request at a time."""

    def __init__(self, port, host):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.due = None
        self.received = b""

    def send(self, due):
        self.due = due
        self.socket.sendall(self.request)

    def take(self):
        """The status of the answer when it is whole, else None."""
        piece = self.socket.recv(65536)
        if not piece:
            return 0
        self.received += piece
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        length = int(head.lower().partition(b"content-length:")[2].split(None, 1)[0])
        if len(body) < length:
            return None
        self.received = b""
        return int(head[9:12])


def run(port, host, rate, seconds, connections):
    idle = [Client(port, host) for _ in range(connections)]
    selector = selectors.SelectSelector()
    for client in idle:
        selector.register(client.socket, selectors.EVENT_READ, client)
    began = time.monotonic()
    latencies, others, sent = [], collections.Counter(), 0
    total = int(rate * seconds)
    while sent < total or len(idle) < connections:
        now = time.monotonic()
        while idle and sent < total and began + sent / rate <= now:
            idle.pop().send(began + sent / rate)
            sent += 1
        if now > began + seconds + 30:
            others["unanswered"] += connections - len(idle)
            break
        due = began + sent / rate if sent < total and idle else now + 1
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            status = key.data.take()
            if status is None:
                continue
            if status == 200:
                latencies.append((time.monotonic() - key.data.due) * 1e6)
            else:
                others[str(status)] += 1
            if status == 0:
                selector.unregister(key.data.socket)
                key.data = None
                connections -= 1
                continue
            idle.append(key.data)
    return {"latencies_us": sorted(map(round, latencies)), "others": others}


def main():
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    port, host, rate, seconds, connections = sys.argv[1:]
    print(json.dumps(run(int(port), host, float(rate), float(seconds), int(connections))))


main()
