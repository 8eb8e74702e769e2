"""The near cache of a node: there while the node alone writes, and at no other time."""

import os
import re
import signal
import threading

import apps
import pytest
from waiting import wait_until

APP = "demo/near"
SOURCE = """
import time
import urllib.parse

from cloister import cache


def read_until(key):
    '''Reads "a" all the time; once `key` is there, what "a" is then. A touch is never near.'''
    while not cache.touch(key):
        cache.get("a")
        time.sleep(0.001)
    return cache.get("a")


def write_after(key, value):
    cache.set("began", b"1")
    while not cache.touch(key):
        time.sleep(0.001)
    return cache.set("a", value) and cache.set("done", b"1")


def application(environ, start_response):
    result = eval(urllib.parse.unquote(environ["QUERY_STRING"]) or "None")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(result).encode()]
"""


@pytest.fixture
def near_node(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path / "near", SOURCE), APP)
    wait_until(lambda: ask(own_node, "cache.set('a', b'1')") == "True", own_node.log)
    return own_node


def ask(node, expression):
    target = "/?" + "".join(f"%{byte:02x}" for byte in expression.encode())
    answer = node.http(APP, target, timeout=60.0)
    assert answer.status == 200, node.cli("logs", APP).stdout
    return answer.body.decode()


def near_hits(node):
    use = node.json("status")["facts"]["cache_use"]
    return int(re.search(r"\((\d+) near\)", use).group(1))


class Asking(threading.Thread):
    """A request that is under way."""

    def __init__(self, node, expression):
        super().__init__()
        self.node, self.expression, self.answer = node, expression, None
        self.start()

    def run(self):
        self.answer = ask(self.node, self.expression)

    def end(self):
        self.join(60)
        assert not self.is_alive()
        return self.answer


def hang_up(node):
    """Another node process serves; the one before still has requests."""
    old = node.process("node")
    os.kill(node.keeper.pid, signal.SIGHUP)
    wait_until(lambda: node.log().count("node_ready") == 2, node.log, 60.0)
    assert old.is_alive()
    return old


def is_near_soon(node):
    def near():
        before = near_hits(node)
        assert ask(node, "[cache.get('a') for _ in range(5)]") != ""
        return near_hits(node) > before

    wait_until(near, node.log)


def test_what_is_read_all_the_time_comes_from_the_node(near_node):
    is_near_soon(near_node)
    assert ask(near_node, "cache.set('a', b'2'), cache.get('a')") == "(True, b'2')"
    assert ask(near_node, "cache.delete('a'), cache.get('a')") == "(True, None)"


def test_a_node_that_drains_reads_what_its_successor_writes(near_node):
    is_near_soon(near_node)
    reading = Asking(near_node, "read_until('flag')")
    wait_until(lambda: near_hits(near_node) > 20, near_node.log)
    old = hang_up(near_node)
    assert ask(near_node, "cache.set('a', b'2'), cache.set('flag', b'1')") == "(True, True)"
    assert reading.end() == "b'2'"
    wait_until(lambda: not old.is_alive(), near_node.log, 60.0)


def test_a_new_node_reads_what_the_one_that_drains_writes(near_node):
    writing = Asking(near_node, "write_after('go', b'2')")
    wait_until(lambda: ask(near_node, "cache.get('began')") == "b'1'", near_node.log)
    old = hang_up(near_node)
    reading = Asking(near_node, "read_until('done')")
    assert ask(near_node, "[cache.get('a') for _ in range(100)][-1]") == "b'1'"
    assert near_hits(near_node) == 0, "while the other one may write"
    assert ask(near_node, "cache.set('go', b'1')") == "True"
    assert writing.end() == "True"
    assert reading.end() == "b'2'"
    wait_until(lambda: not old.is_alive(), near_node.log, 60.0)
    is_near_soon(near_node)
