"""A MariaDB server that is not the operator's: what it asks for, it does not get."""

import os
import pathlib
import shutil
import socket
import struct
import tempfile
import threading

import apps
import pytest
from query_app import SOURCE, ask

APP = "demo/shop"
PASSWORD = "the operator's own"
CAPABILITIES = 0x81FFF7DF | 0x00280080


class HostileServer:
    """Speaks MariaDB's protocol on a unix socket; `answer` says what comes behind the login."""

    def __init__(self, answer):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-my-"))
        self.folder.chmod(0o755)
        self.socket = self.folder / "socket"
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.heard = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.socket))
        os.chmod(self.socket, 0o666)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def settings(self):
        return {"server": f"mariadb://cloister@/?socket={self.socket}",
                "password_file": str(self.password_file)}

    def remove(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self.folder)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                send(connection, 0, greeting())
                number, login = receive(connection)
                self.heard.append(login)
                self._answer(self, connection, number + 1)
            except (OSError, EOFError):
                pass


def greeting():
    return (b"\x0a5.5.5-10.11.6-MariaDB\0" + struct.pack("<I", 7) + b"abcdefgh\0" +
            struct.pack("<HBHHB", CAPABILITIES & 0xFFFF, 45, 2, CAPABILITIES >> 16, 21) +
            bytes(10) + b"ijklmnopqrst\0mysql_native_password\0")


def send(connection, number, payload):
    connection.sendall(struct.pack("<I", len(payload))[:3] + bytes([number % 256]) + payload)


def receive(connection):
    head = receive_exactly(connection, 4)
    return head[3], receive_exactly(connection, int.from_bytes(head[:3], "little"))


def receive_exactly(connection, size):
    got = b""
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            raise EOFError
        got += part
    return got


def switch_to(plugin):
    def answer(server, connection, number):
        send(connection, number, b"\xfe" + plugin.encode() + b"\0\4Password: \0")
        server.heard.append(receive(connection)[1])
    return answer


def ask_for_a_file(server, connection, number):
    send(connection, number, b"\0\0\0\2\0\0\0")
    number, _ = receive(connection)
    send(connection, number + 1, b"\xfb/etc/passwd")
    while True:
        number, heard = receive(connection)
        server.heard.append(heard)
        send(connection, number + 1, b"\0\0\0\2\0\0\0")


def answer_without_end(server, connection, number):
    send(connection, number, b"\0\0\0\2\0\0\0")
    number, _ = receive(connection)
    send(connection, number + 1, b"\1")
    send(connection, number + 2, b"\3def\0\0\0\1a\0\x0c\x2d\0\0\1\0\0\xfd\0\0\0\0\0")
    send(connection, number + 3, b"\xfe\0\0\2\0")
    row = b"\xfd" + (1 << 20).to_bytes(3, "little") + bytes(1 << 20)
    server.sent = 0
    while True:
        number += 1
        send(connection, number + 3, row)
        server.sent += len(row)


@pytest.fixture
def hostile(make_node, tmp_path):
    servers = []

    def start(answer):
        server = HostileServer(answer)
        servers.append(server)
        node = make_node({"query": server.settings}).start()
        node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
        said = ask(node, APP, "sql('SELECT 1')")
        assert said.startswith("OperationalError: the app's database cannot be opened"), said
        assert server.heard and PASSWORD not in node.log()
        return server

    yield start
    for server in servers:
        server.remove()


@pytest.mark.parametrize("plugin", ["mysql_clear_password", "dialog", "caching_sha2_password"])
def test_the_password_is_told_to_nobody(hostile, plugin):
    server = hostile(switch_to(plugin))
    assert not any(PASSWORD.encode() in heard for heard in server.heard), server.heard


def test_no_file_is_sent(hostile):
    server = hostile(ask_for_a_file)
    assert not any(b"root:" in heard for heard in server.heard)


def test_an_answer_without_end_is_not_kept(hostile):
    assert hostile(answer_without_end).sent < 256 << 20
