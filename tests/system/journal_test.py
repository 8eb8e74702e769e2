"""What goes to systemd's journal: apps' events where the operator wants that, and the own log.

A socket of ours stands in for journald's, in a mount namespace of the node's. That takes root.
"""

import os
import socket
import struct
import threading

import apps
import node as node_module
import pytest
from waiting import wait_until

APP = "demo/journal"
SOURCE = r"""
import logging, sys

log = logging.getLogger("shop")

def application(environ, start_response):
    log.warning("two\nlines", extra={"user": 3})
    sys.stdout.buffer.write(b"bytes \0\xff\n")
    print("x" * 250_000)
    start_response("200 OK", [])
    return [b""]
"""
IN_NAMESPACE = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
    mount --bind "$1" /run/systemd/journal && shift && exec "$@"
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace takes root")


def parse_entry(data):
    """The fields of a datagram of https://systemd.io/JOURNAL_NATIVE_PROTOCOL."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        fields[name.decode()] = value
    return fields


class FakeJournal:
    """Takes entries as journald does: in datagrams, or in memory files sent along."""

    def __init__(self, folder):
        self.entries = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o666)
        self._socket.settimeout(0.2)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self):
        while not self._ending.is_set():
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
            except TimeoutError:
                continue
            for fd in fds:
                data = os.pread(fd, os.fstat(fd).st_size, 0)
                os.close(fd)
            self.entries.append(parse_entry(data))

    def of(self, app):
        return [entry for entry in self.entries if entry.get("CLOISTER_APP") == app.encode()]

    def close(self):
        self._ending.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def journal(tmp_path):
    apps.open_to_all(tmp_path)
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o755)
    journal = FakeJournal(folder)
    journal.folder = folder
    yield journal
    journal.close()


def journal_node(installation, journal, settings):
    launcher = ["unshare", "-m", "bash", "-c", IN_NAMESPACE, "_", str(journal.folder)]
    return node_module.Node(installation, "root", settings, launcher)


@needs_root
def test_apps_events_go_to_the_journal_where_the_operator_wants_that(
    installation, journal, tmp_path
):
    node = journal_node(installation, journal, {"log": {"journal": True}})
    try:
        node.start()
        node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
        request_id = node.http(APP).header("X-Request-Id").encode()

        def of_request():
            return [e for e in journal.of(APP) if e.get("CLOISTER_REQUEST") == request_id]

        wait_until(lambda: len(of_request()) >= 3, "the entries of the request")
        logged, in_bytes, *printed = of_request()
        assert logged["MESSAGE"] == b"two\nlines"
        assert logged["PRIORITY"] == b"4"
        assert logged["CLOISTER_RELEASE"] == b"1.0.0"
        assert logged["CLOISTER_LOGGER"] == b"shop"
        assert logged["SYSLOG_IDENTIFIER"] == b"cloister-app"
        assert "CODE_FILE" not in logged
        assert in_bytes["MESSAGE"] == b"bytes \0\xff\n"
        assert in_bytes["PRIORITY"] == b"6"
        # Too large for a datagram: it comes as a memory file.
        wait_until(
            lambda: sum(e["MESSAGE"].count(b"x") for e in of_request()) == 250_000, "all of it"
        )
        checks = [e for e in journal.of(APP) if e.get("CLOISTER_CHECK") == b"1"]
        assert checks, "the check asked the app, too"
        events = node.json("logs", APP, "--request", request_id.decode())["events"]
        assert [str(event["sequence"]).encode() for event in events] == [
            entry["CLOISTER_SEQUENCE"] for entry in of_request()
        ]
    finally:
        node.remove()


@needs_root
def test_apps_events_stay_out_of_the_journal_otherwise(installation, journal, tmp_path):
    node = journal_node(installation, journal, {})
    try:
        node.start()
        node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
        node.http(APP)
        wait_until(lambda: len(node.events(APP)) >= 3, "the events are in the app's log")
        assert not journal.entries
    finally:
        node.remove()


def test_the_nodes_own_log_has_priorities_where_stderr_is_the_journal(installation, user):
    node = node_module.Node(installation, user)
    node.log_file.touch()
    status = node.log_file.stat()
    node.launcher = ["env", f"JOURNAL_STREAM={status.st_dev}:{status.st_ino}"]
    try:
        node.start()
    finally:
        log = node.log()
        node.remove()
    lines = [line for line in log.splitlines() if " access " not in line]
    assert lines and all(line[0] == "<" and line[2] == ">" for line in lines), log
    assert any(line.startswith("<6>info cloisterd ") for line in lines)
    assert any(line.startswith("<6>info cloister-node ") for line in lines)
