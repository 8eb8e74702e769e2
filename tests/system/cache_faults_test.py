"""The cache of real apps while its server is killed, stopped, flushed, and while nodes change."""

import os
import signal
import threading

import apps
import pytest
from waiting import wait_until

APP = "demo/cached"
SOURCE = """
import urllib.parse
import cloister
from cloister import cache

def application(environ, start_response):
    word, _, rest = environ["PATH_INFO"][1:].partition("/")
    arguments = [part.encode() for part in rest.split("/") if part]
    if not word:
        answer = "up"
    elif word == "incr":
        answer = cache.incr(arguments[0], initial=1)
    elif word == "clear":
        answer = cache.clear()
    elif word == "fill":
        answer = len(cache.set_multi({f"k{i}": b"x" * 1000 for i in range(int(arguments[0]))}))
    else:
        answer = getattr(cache, word)(*arguments)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(answer).encode()]
"""


def ask(node, *words, app=APP):
    answer = node.http(app, "/" + "/".join(words))
    assert answer.status == 200, node.cli("logs", app).stdout
    return answer.body.decode()


@pytest.fixture
def served(make_node, tmp_path):
    node = make_node({"cache": {"timeout": "200ms"}}).start()
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    node.wait_cache()
    return node


def test_a_server_that_was_killed_costs_the_values_and_nothing_else(served):
    assert ask(served, "set", "a", "1") == "True"
    assert ask(served, "get", "a") == "b'1'"
    before = served.cache_server()
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: served.cache_server() not in (None, before), served.log)
    served.wait_cache()
    assert ask(served, "get", "a") == "None"
    assert ask(served, "set", "a", "2") == "True"
    assert ask(served, "get", "a") == "b'2'"


def test_a_server_that_hangs_is_asked_once_and_brings_nothing_back(served):
    assert ask(served, "set", "a", "old") == "True"
    server = served.cache_server()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        assert ask(served, "set", "a", "new") == "False"
        wait_until(lambda: served.cache_state().startswith("down: "), lambda: served.cache_state())
        assert ask(served, "get", "a") == "None"
        assert ask(served, "incr", "n") == "None"
        assert ask(served, "delete", "a") == "False"
        assert ask(served, "add", "b", "1") == "False"
    finally:
        server.go_on()
    served.wait_cache()
    assert ask(served, "get", "a") == "None", "neither the old value nor the lost one"
    assert ask(served, "set", "a", "newer") == "True"
    # Nor after everything was killed and has read its state again.
    before = served.process("node")
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: served.is_ready() and served.process("node") != before, served.log)
    served.wait_cache()
    assert ask(served, "get", "a") == "b'newer'"


def test_a_loss_is_remembered_by_the_next_node(served):
    assert ask(served, "set", "a", "old") == "True"
    server = served.cache_server()
    os.kill(server.pid, signal.SIGSTOP)
    assert ask(served, "delete", "a") == "False"
    before = served.process("node")
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: served.is_ready() and served.process("node") != before, served.log)
    server.go_on()
    served.wait_cache()
    assert ask(served, "get", "a") == "None"


def test_counting_goes_on_across_reloads(served):
    failed, counted, stop = [], [], threading.Event()

    def count():
        with served.connect() as client:
            while not stop.is_set():
                answer = client.request("GET", "/incr/n", "cached.demo.localhost")
                if answer.status != 200:
                    failed.append(answer)
                    return
                counted.append(answer.body)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = served.process("node")
            os.kill(served.keeper.pid, signal.SIGHUP)
            wait_until(
                lambda old=before: served.processes("node") and old not in served.processes("node"),
                served.log,
            )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert b"None" not in counted
    assert len(set(counted)) == len(counted), "no number came twice"
    assert ask(served, "get", "n") == f"b'{len(counted)}'"


def test_an_app_stays_within_its_bytes(served):
    served.cli("quota", "set", APP, "cache.bytes=256KiB")
    assert ask(served, "fill", "500") == "0"

    def used():
        rows = served.json("quota", "show", APP)["quotas"]
        (row,) = [row for row in rows if row["name"] == "cache.bytes"]
        return row["used"]

    assert 200 << 10 < used() <= 256 << 10
    present = [i for i in range(0, 500, 10) if ask(served, "get", f"k{i}") != "None"]
    assert 5 < len(present) < 40
    assert ask(served, "clear") == "True"
    assert ask(served, "get", "k499") == "None"


def test_a_check_writes_nothing(served, tmp_path):
    assert ask(served, "set", "a", "live") == "True"
    source = SOURCE.replace(
        "def application",
        'cache.set("a", b"checked")\ncache.set("b", b"checked")\n'
        'assert cache.get("a") == b"checked"\n\ndef application',
    )
    folder = apps.write_app(tmp_path / "checked", source, "1.1.0")
    served.cli("deploy", folder, "--app", APP, "--dry-run")
    assert ask(served, "get", "a") == "b'live'"
    assert ask(served, "get", "b") == "None"
