"""The Redis server that the keeper runs for the cache: who it is, who reaches it, and what happens
when it dies, hangs, or is not there."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest
from waiting import wait_until


def wait_server(node, other_than=None):
    def found():
        server = node.cache_server()
        return server if server and server != other_than else None

    return wait_until(found, lambda: f"a cache server\n{node.log()}")


def test_it_is_confined_to_a_socket_that_only_the_node_reaches(make_node):
    node = make_node().start()
    node.wait_cache()
    server = wait_server(node)
    assert server.status("NoNewPrivs") == "1"
    assert server.status("CapEff") == server.status("CapPrm") == "0000000000000000"
    own = os.readlink("/proc/self/ns/net")
    assert os.readlink(f"/proc/{server.pid}/ns/net") != own
    assert not any("INET" in target for target in server.descriptors().values())
    uids = {p.status("Uid").split()[0] for p in (server, node.process("node"))}
    assert len(uids) == (2 if node.user == "root" else 1)
    path = node.state / "cache/redis.sock"
    assert path.is_socket()
    if node.user == "root":
        reach = subprocess.run(
            ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "test", "-e", path]
        )
        assert reach.returncode != 0
    assert node.stop() == 0
    assert not server.is_alive()


def test_it_outlives_the_node_and_the_zygote_and_ends_with_the_keeper(make_node):
    node = make_node().start()
    node.wait_cache()
    server = wait_server(node)
    before = node.process("node")
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: node.is_ready() and node.process("node") != before, node.log)
    os.kill(node.process("zygote").pid, signal.SIGKILL)
    before = node.process("node")
    os.kill(node.keeper.pid, signal.SIGHUP)
    wait_until(
        lambda: node.processes("node") and before not in node.processes("node"), node.log
    )
    assert node.cache_server() == server
    node.wait_cache()
    node.remember()
    node.kill()
    assert not server.is_alive()


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_ends_is_started_again(make_node, ended_by):
    node = make_node().start()
    node.wait_cache()
    server = wait_server(node)
    os.kill(server.pid, ended_by)
    wait_server(node, other_than=server)
    node.wait_cache()
    assert "cache_server_exited" in node.log()


def test_nodes_of_one_range_of_uids_each_have_one(make_node):
    # The kernel counts the processes of a uid, not those of a node.
    nodes = [make_node().start() for _ in range(5)]
    for node in nodes:
        node.wait_cache()


def test_one_that_hangs_is_killed_and_started_again(make_node):
    node = make_node().start()
    node.wait_cache()
    server = wait_server(node)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        wait_server(node, other_than=server)
    finally:
        server.go_on()
    node.wait_cache()
    assert not server.is_alive()
    assert "cache_server_hung" in node.log()


def test_a_named_server_that_is_never_there_is_told_of(make_node):
    node = make_node({"cache": {"url": "unix:///nonexistent/redis.sock"}}).start()
    wait_until(lambda: "cache_unreachable" in node.log(), node.log)
    assert node.cache_state().startswith("down: ")
    assert node.cache_state().endswith("it was never reached")


def test_a_host_without_redis_serves_all_the_same(make_node):
    node = make_node({"cache": {"server": "/nonexistent/redis-server"}}).start()
    wait_until(lambda: node.cache_state().startswith("down: "), lambda: node.cache_state())
    assert "cache_server_not_started" in node.log()
    assert node.cache_server() is None


@pytest.fixture
def named_server():
    """A server of the operator's; where its socket is, and a folder that everybody may enter."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-redis-"))
    folder.chmod(0o755)
    path = folder / "named.sock"
    with subprocess.Popen(
        ["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/"
    ) as named:
        named.stdin.write(
            f"port 0\nunixsocket {path}\nunixsocketperm 777\nsave ''\n"
            "user default off\nuser app on >open-sesame ~c:* +@all\n".encode()
        )
        named.stdin.close()
        wait_until(path.is_socket, "the named server")
        yield path
        named.kill()
    shutil.rmtree(folder)


def test_a_named_server_is_used_with_its_password(make_node, named_server):
    password = named_server.parent / "password"
    password.write_text("open-sesame\n")
    settings = {"url": f"unix://{named_server}?user=app", "password_file": str(password)}
    node = make_node({"cache": settings}).start()
    node.wait_cache()
    assert node.cache_server() is None
    shown = node.run_daemon("--config", node.folder / "cloisterd.toml", "--print-settings").stdout
    assert "password_file" in shown
    assert "open-sesame" not in shown
    password.write_text("wrong\n")
    os.kill(node.keeper.pid, signal.SIGHUP)
    wait_until(lambda: "WRONGPASS" in node.cache_state(), lambda: node.cache_state())


def test_a_url_with_a_password_is_refused(make_node):
    node = make_node({"cache": {"url": "redis://:hidden@localhost"}})
    node.write_settings()
    done = node.run_daemon("--config", node.folder / "cloisterd.toml", "--check-config")
    assert done.returncode != 0
    assert "password_file" in done.stderr
    assert "hidden" not in done.stderr + done.stdout
