"""An app that is at all of its limits at once costs its neighbour no answer."""

import pathlib
import threading

import apps
import pytest
from load import SOURCE, Load, one_by_one
from waiting import wait_until

GREEDY = """
import itertools, logging, os, threading, time
from cloister import QuotaExceeded, cache

held, numbers, met = [], itertools.count(), set()

def application(environ, start_response):
    end = time.process_time() + 0.02
    try:
        held.append(bytearray(4 << 20))
    except MemoryError:
        met.add('memory')
    try:
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
    except RuntimeError:
        met.add('threads')
    try:
        for _ in range(20):
            cache.set(f'{os.getpid()}.{next(numbers)}', os.urandom(16384))
    except QuotaExceeded:
        met.add('cache.calls')
    logging.warning('%s', 'x' * 100_000)
    while time.process_time() < end:
        pass
    body = ' '.join(sorted(met)).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
"""
QUOTAS = {
    "limits.requests": "40",
    "limits.memory": "64MiB",
    "limits.threads": "20",
    "limits.workers": "2",
    "limits.queue": "4",
    "cache.bytes": "1MiB",
    "cache.calls": "200",
    "log.rate": "64KiB",
}


def test_a_greedy_neighbour_costs_no_answer(node, tmp_path):
    greedy, innocent = "greedy/app", "innocent/app"
    node.deploy(apps.write_app(tmp_path / "greedy", GREEDY), greedy)
    node.deploy(apps.write_app(tmp_path / "innocent", SOURCE), innocent)
    node.cli("quota", "set", greedy, *(f"{name}={value}" for name, value in QUOTAS.items()))
    met, statuses, stop = set(), set(), threading.Event()

    def ask():
        while not stop.is_set():
            answer = node.http(greedy)
            statuses.add(answer.json()["code"] if answer.status != 200 else 200)
            if answer.status == 200:
                met.update(answer.body.decode().split())

    askers = [threading.Thread(target=ask) for _ in range(12)]

    def is_everywhere_at_its_limits():
        lost = any(event.get("lost") for event in node.events(greedy))
        refused = "requests_exceeded" in statuses
        return lost and refused and met >= {"memory", "threads", "cache.calls"}

    with Load(node, innocent, [one_by_one] * 3) as load:
        for asker in askers:
            asker.start()
        try:
            wait_until(is_everywhere_at_its_limits, lambda: f"{met} {statuses}", 60.0)
            load.wait_for_more(500)
        finally:
            stop.set()
            for asker in askers:
                asker.join()
    assert not load.problems
    rows = {row["name"]: row for row in node.json("quota", "show", greedy)["quotas"]}
    assert rows["cache.bytes"]["used"] <= rows["cache.bytes"]["limit"]
    assert rows["limits.requests"]["refused"] > 0


COMPUTES = """
import time

def application(environ, start_response):
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']
"""


def test_an_app_that_computes_gives_way_while_it_does(node, tmp_path):
    busy, calm = "busy/app", "calm/app"
    node.deploy(apps.write_app(tmp_path / "busy", COMPUTES), busy)
    node.deploy(apps.write_app(tmp_path / "calm", SOURCE), calm)
    idle = [group_of(node, app) for app in (busy, calm)]
    if None in idle:
        pytest.skip("this node has no group whose class the kernel knows")

    def classes():
        return [path.read_text().strip() for path in idle]

    stop = threading.Event()

    def ask():
        while not stop.is_set():
            assert node.http(busy).status == 200

    asker = threading.Thread(target=ask)
    with Load(node, calm, [one_by_one]) as load:
        asker.start()
        try:
            wait_until(lambda: classes()[0] == "1", classes)
            load.wait_for_more(100)
        finally:
            stop.set()
            asker.join()
        wait_until(lambda: classes()[0] == "0", classes)
    assert not load.problems


def group_of(node, app):
    """The cpu.idle of its workers' cgroup, or None."""
    (worker, *_) = node.workers(app)
    for line in pathlib.Path(f"/proc/{worker.pid}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if "/cloister-" in group and controllers in ("cpu", ""):
            base = pathlib.Path("/sys/fs/cgroup", "cpu" if controllers else "")
            path = base / group.lstrip("/") / "cpu.idle"
            if path.exists():
                return path
    return None


READER = """
import threading
from cloister import cache

KEYS = [f'k{number}' for number in range(60)]

def application(environ, start_response):
    body = b'stored'
    if environ['PATH_INFO'] == '/fill':
        failed = cache.set_multi({key: bytes(1 << 20) for key in KEYS})
        body = str(failed).encode()
    else:
        # As many calls as a worker may have under way, and each asks for everything at once.
        readers = [threading.Thread(target=cache._get_multi, args=(KEYS,)) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
"""
CAREFUL = """
from cloister import cache

kept = cache.set('kept', b'kept')

def application(environ, start_response):
    sound = kept and cache.get('kept') == b'kept'
    sound = sound and cache.set('new', b'n' * 1000) and cache.get('new') == b'n' * 1000
    start_response('200 OK', [('Content-Length', '4')])
    return [b'old!' if sound else b'lost']
"""


def test_a_reader_of_all_that_it_has_costs_its_neighbours_nothing_of_the_cache(node, tmp_path):
    greedy, innocent = "greedy/reader", "careful/app"
    wait_until(lambda: "cache_connected" in node.log(), node.log)
    node.deploy(apps.write_app(tmp_path / "greedy", READER), greedy)
    node.deploy(apps.write_app(tmp_path / "careful", CAREFUL), innocent)
    node.cli("quota", "set", greedy, "cache.calls=1000000", "cache.bytes=80MiB")
    # Four calls a request: a fast machine would come to what an app may do.
    node.cli("quota", "set", innocent, "cache.calls=1000000")
    assert node.http(greedy, "/fill").body == b"[]"
    stop, answers = threading.Event(), []

    def ask():
        while not stop.is_set():
            answers.append(node.http(greedy).status)

    askers = [threading.Thread(target=ask) for _ in range(8)]
    with Load(node, innocent, [one_by_one] * 2) as load:
        for asker in askers:
            asker.start()
        try:
            wait_until(lambda: len(answers) > 40 or load.problems, lambda: f"{answers}", 60.0)
            load.wait_for_more(200)
        finally:
            stop.set()
            for asker in askers:
                asker.join()
    assert not load.problems
    assert set(answers) == {200}
    assert "cache_disconnected" not in node.log()
    assert node.json("quota", "show", innocent)["cache"]["failed"] == 0
    assert node.json("quota", "show", innocent)["cache"]["hits"] > 0
