"""Every quota there is, reached: what an app then gets, and that it says which quota it was."""

import json
import threading
import time

import apps
import pytest
from waiting import wait_until

# One app that uses as much of a thing as its query says, and answers how that went.
GREEDY = """
import json, logging, mmap, threading, time

def eat(megabytes):
    eaten = bytearray(megabytes << 20)
    return len(eaten) >> 20

kept = []

def keep(megabytes):
    kept.append(bytearray(megabytes << 20))
    return len(kept)

def map_only(megabytes):
    mapped = mmap.mmap(-1, megabytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                       prot=mmap.PROT_READ)
    mapped.close()
    return megabytes

def threads(count):
    stop, started = threading.Event(), []
    try:
        for _ in range(count):
            started.append(threading.Thread(target=stop.wait))
            started[-1].start()
        return count
    except RuntimeError:
        return len(started) - 1
    finally:
        stop.set()
        for thread in started[:-1]:
            thread.join()

def spin(milliseconds):
    end = time.process_time() + milliseconds / 1000
    while time.process_time() < end:
        pass
    return milliseconds

def sleep(milliseconds):
    print('begin')
    time.sleep(milliseconds / 1000)
    print('end')
    return milliseconds

def log(count, size=500):
    for i in range(count):
        logging.getLogger('greedy').warning('%06d %s', i, 'x' * (size - 7))
    return count

def large_log(count):
    return log(count, 100_000)

def application(environ, start_response):
    what, _, amount = environ['QUERY_STRING'].partition('=')
    try:
        answer = globals()[what](int(amount)) if what else 'Hello'
    except (MemoryError, OSError) as error:
        answer = type(error).__name__
    body = json.dumps(answer).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
"""

REACHED = {}


def reaches(*names):
    """The test reaches these quotas."""

    def mark(test):
        for name in names:
            REACHED[name] = test.__name__
        return test

    return mark


# Reached by the tests of another page.
REACHED |= {
    "limits.requests": "quota_test",
    "limits.body": "quota_test",
    "limits.wall": "quota_test",
    "log.event_max": "quota_test",
    "log.kept_age": "log_files_test",
    "config.keys": "config_test",
    "config.bytes": "config_test",
    "cache.bytes": "cache_test",
    "cache.calls": "cache_test",
    "cache.value": "conformance_test",
    "cache.key": "conformance_test",
    "persistence.bytes": "persistence_test",
    "persistence.object": "persistence_test",
    "persistence.objects": "persistence_test",
    "persistence.writes": "persistence_test",
    "persistence.calls": "persistence_test",
    "query.bytes": "query_quota_rows_test",
    "query.statement": "query_quota_rows_test",
    "query.result": "query_quota_rows_test",
    "query.statements": "query_quota_rows_test",
    "query.transactions": "query_quota_rows_test",
    "query.transaction_time": "query_quota_rows_test",
}


@pytest.fixture
def app(node, tmp_path, request):
    """An app of its own for the test, TENANT/NAME."""
    name = "rows/" + request.node.originalname.removeprefix("test_").replace("_", "-")[:28]
    node.deploy(apps.write_app(tmp_path / "app", GREEDY), name)
    return name


def ask(node, app, query=""):
    answer = node.http(app, f"/?{query}" if query else "/")
    return json.loads(answer.body) if answer.status == 200 else answer


def ask_together(node, app, queries):
    """The answers to requests that are under way at the same time."""
    answers = [None] * len(queries)

    def one(index):
        answers[index] = ask(node, app, queries[index])

    clients = [threading.Thread(target=one, args=(index,)) for index in range(len(queries))]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return answers


def codes(answers):
    return sorted(
        answer if isinstance(answer, int) else answer.json()["code"] for answer in answers
    )


def set_quota(node, app, *changes):
    node.cli("quota", "set", app, *changes)


def row_of(node, app, name):
    (row,) = [row for row in node.json("quota", "show", app)["quotas"] if row["name"] == name]
    return row


@reaches("limits.memory")
def test_memory(node, app):
    set_quota(node, app, "limits.memory=64MiB")
    wait_until(lambda: ask(node, app, "eat=100") == "MemoryError", "64 MiB hold")
    assert ask(node, app, "eat=16") == 16
    wait_until(lambda: ask(node, app, "keep=4") == "MemoryError", "the worker is full")
    wait_until(
        lambda: any("its quota limits.memory: " in event["text"] for event in node.events(app)),
        "the log says that the memory is nearly used up",
    )
    set_quota(node, app, "limits.memory=512MiB")
    wait_until(lambda: ask(node, app, "eat=100") == 100, "512 MiB hold")


@reaches("limits.address_space")
def test_address_space(node, app):
    set_quota(node, app, "limits.memory=64MiB", "limits.address_space=512MiB")
    wait_until(lambda: ask(node, app, "map_only=600") == "OSError", "512 MiB hold")
    assert ask(node, app, "map_only=100") == 100
    set_quota(node, app, "limits.address_space=2GiB")
    wait_until(lambda: ask(node, app, "map_only=600") == 600, "2 GiB hold")


@reaches("limits.threads")
def test_threads(node, app):
    set_quota(node, app, "limits.threads=5")
    wait_until(lambda: ask(node, app, "threads=20") < 20, "5 threads hold")
    # The main thread is one of them.
    assert ask(node, app, "threads=20") == 4
    assert ask(node, app, "threads=4") == 4


@reaches("limits.cpu")
def test_cpu(node, app):
    if node.json("status")["facts"].get("cgroups") == "none":
        pytest.skip("this node has no cgroups")
    set_quota(node, app, "limits.cpu=0.1")
    wait_until(lambda: ask(node, app) == "Hello", "a worker serves")
    began = time.monotonic()
    assert ask(node, app, "spin=300") == 300
    # A whole core would take 0.3 s; other load makes it only longer.
    assert time.monotonic() - began > 1


@reaches("limits.workers")
def test_workers(node, app):
    set_quota(node, app, "limits.workers=1")
    most = []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            most.append(len(node.workers(app)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert ask_together(node, app, ["sleep=100"] * 6) == [100] * 6
    finally:
        stop.set()
        watcher.join()
    assert max(most) == 1
    set_quota(node, app, "limits.workers=4")
    ask_together(node, app, ["sleep=300"] * 6)
    assert 1 < len(node.workers(app)) <= 4


@reaches("limits.queue")
def test_queue(node, app):
    set_quota(node, app, "limits.workers=1", "limits.queue=1")
    answers = ask_together(node, app, ["sleep=500"] * 8)
    refused = [answer for answer in answers if answer != 500]
    assert refused and {answer.json()["code"] for answer in refused} == {"queue_full"}
    assert int(refused[0].header("retry-after")) >= 1
    assert row_of(node, app, "limits.queue")["refused"] == len(refused)
    assert any("which is limits.queue" in event["text"] for event in node.events(app))
    set_quota(node, app, "limits.queue=256")
    assert ask_together(node, app, ["sleep=10"] * 8) == [10] * 8


@reaches("limits.concurrent")
def test_concurrent(node, app):
    set_quota(node, app, "limits.concurrent=1", "limits.workers=4")
    assert ask_together(node, app, ["sleep=50"] * 4) == [50] * 4
    said = [event["text"].strip() for event in node.events(app)]
    assert [text for text in said if text in ("begin", "end")] == ["begin", "end"] * 4


@reaches("limits.draining")
def test_draining(node, app, tmp_path):
    set_quota(node, app, "limits.draining=1")

    def deploy(version, check=True):
        folder = apps.write_app(tmp_path / version, GREEDY, version)
        return node.deploy(folder, app, check=check)

    answers = []
    slow = threading.Thread(target=lambda: answers.append(ask(node, app, "sleep=6000")))
    slow.start()
    wait_until(
        lambda: any(event["text"] == "begin\n" for event in node.events(app)), "it is under way"
    )
    deploy("1.0.1")
    refused = deploy("1.0.2", check=False)
    assert (refused.returncode, "draining_full" in refused.stderr) == (3, True), refused.stderr
    slow.join()
    assert answers == [6000]
    wait_until(lambda: deploy("1.0.2", check=False).returncode == 0, "the former one has drained")


@reaches("log.rate", "log.burst")
def test_log_rate(node, app):
    set_quota(node, app, "log.event_max=1KiB", "log.burst=4KiB", "log.rate=1KiB")
    assert ask(node, app, "log=200") == 200

    def counted():
        seen, lost = 0, 0
        for event in node.events(app):
            lost += event.get("lost", 0)
            seen += event.get("logger") == "greedy"
        # Later events carry what was lost before them.
        ask(node, app, "log=1")
        return seen, lost

    seen, lost = wait_until(
        lambda: (found := counted())[1] > 0 and found, "what was lost is counted"
    )
    assert 0 < seen < 100 and lost >= 100
    set_quota(node, app, "log.burst=1MiB", "log.rate=1MiB")


@reaches("log.kept_bytes")
def test_log_kept(node, app):
    set_quota(node, app, "log.burst=1GiB", "log.rate=1GiB", "log.kept_bytes=64KiB")
    for _ in range(3):
        assert ask(node, app, "large_log=60") == 60
    first = wait_until(
        lambda: (events := node.events(app)) and events[0]["sequence"] > 60 and events[0],
        "the oldest are gone",
    )
    assert first["sequence"] > 60


def test_every_quota_is_reached_by_a_test(node):
    names = {row["name"] for row in node.json("quota", "show")["quotas"]}
    assert names == set(REACHED)
