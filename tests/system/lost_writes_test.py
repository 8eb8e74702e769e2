"""No acknowledged write is lost, whoever is killed: rounds of `kill -9` in a stream of writes.

A few rounds here; `--rounds 100` for as many as one likes:

    pytest tests/system/lost_writes_test.py --rounds 100 -k root -s
"""

import os
import random
import signal
import socket

import apps
import pytest
from query_test import numbers_of
from query_app import SOURCE as QUERY, ask
from waiting import wait_until

APP = "demo/shop"
PERSISTENCE = '''
from cloister import persistence


def write_for_ever(environ, start_response):
    """Answers with the number of each object once it and its name are acknowledged."""
    write = start_response("200 OK", [])
    number = int(environ["QUERY_STRING"])
    while True:
        # Now and then one that is a file and no row.
        size = 200_000 if number % 50 == 0 else 100
        persistence.put("n/%d" % number, persistence.write(b"%d," % number * size))
        write(b"%d\\n" % number)
        number += 1


def is_kept(number):
    size = 200_000 if number % 50 == 0 else 100
    object_id = persistence.get("n/%d" % number)
    return object_id is not None and persistence.read(object_id) == b"%d," % number * size


def application(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        write_for_ever(environ, start_response)
    code = environ["wsgi.input"].read().decode() or "None"
    result = repr(eval(code))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
'''
# The app, its quotas, who is killed in turn, and the acknowledged numbers that are not there.
KINDS = {
    "query": (QUERY, ["query.statements=1000000"], ["keeper", "query", "worker", "node"],
              "[n for n in {} if not sql('SELECT 1 FROM acknowledged WHERE number = ?', (n,))]"),
    "persistence": (PERSISTENCE, ["persistence.writes=1000000", "persistence.calls=1000000"],
                    ["keeper", "worker", "node"], "[n for n in {} if not is_kept(n)]"),
}


def stream_until_killed(node, first, victim, after):
    """The numbers that were acknowledged, before the victim's death and in spite of it."""
    with socket.create_connection(("127.0.0.1", node.port), 30) as connection:
        connection.sendall(
            b"GET /stream?%d HTTP/1.1\r\nHost: shop.demo.localhost\r\n\r\n" % first)
        received = b""
        while received.count(b"\n") < after:
            more = connection.recv(65536)
            assert more, (received[:500], node.cli("logs", APP).stdout[-2000:])
            received += more
        if victim == "keeper":
            node.kill()
        else:
            process = node.workers(APP)[0] if victim == "worker" else node.process(victim)
            os.kill(process.pid, signal.SIGKILL)
        while True:
            try:
                more = connection.recv(65536)
            except OSError:
                break
            if not more:
                break
            received += more
    return numbers_of(received)


@pytest.mark.parametrize("kind", KINDS)
def test_rounds_of_kill_9_lose_nothing(own_node, tmp_path, kind, request):
    source, quotas, victims, missing = KINDS[kind]
    node = own_node
    node.deploy(apps.write_app(tmp_path / "shop", source), APP)
    node.cli("quota", "set", APP, "limits.wall=1h", *quotas)
    if kind == "query":
        ask(node, APP, "sql('CREATE TABLE acknowledged (number INTEGER PRIMARY KEY)')")
    rounds = request.config.getoption("--rounds")
    chance = random.Random(rounds)
    seen, first = 0, []
    for number in range(rounds):
        victim = victims[number % len(victims)]
        numbers = stream_until_killed(
            node, (number + 1) * 1_000_000, victim, chance.randrange(20, 250))
        if victim == "keeper":
            node.start()
        elif victim == "node":
            wait_until(node.is_ready, "the next node")
        lost = ask(node, APP, missing.format(numbers))
        assert lost == "[]", f"round {number}, {victim} killed: {lost}"
        seen += len(numbers)
        first = first or numbers
    assert ask(node, APP, missing.format(first)) == "[]", "those of the first round"
    print(f"\n{kind}: {rounds} rounds, {seen} acknowledged writes, none lost")
    assert seen >= 5 * rounds
