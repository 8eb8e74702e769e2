"""SIGKILL and SIGSTOP of every process, in any order: what was acknowledged is there, the node gets
whole again, nothing is left behind."""

import contextlib
import itertools
import os
import signal
import sqlite3
import threading

import apps
import pytest
from node import free_port
from processes import Process
from raw_http import Connection, ConnectionEnded
from waiting import wait_until
from walk import last_release

APP = "demo/crash"
SOURCE = """
import os, time

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        print("slow begins")
        time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""
ROLES = ("node", "zygote", "worker")


@pytest.fixture
def app_node(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    assert own_node.http(APP).body == b"fine"
    return own_node


def answers(node):
    try:
        return node.http(APP, timeout=5.0).body == b"fine"
    except (OSError, ConnectionEnded):
        return False


def kill(process, number=signal.SIGKILL):
    os.kill(process.pid, number)


def wait_replaced(node, role, old):
    return wait_until(
        lambda: [process for process in node.processes(role) if process != old],
        f"there is a new {role}",
    )


def test_the_keepers_death_ends_everything_and_loses_nothing(app_node):
    assert len(app_node.keeper.tree()) > 3
    app_node.kill()
    app_node.start()
    assert last_release(app_node, APP)["state"] == "live"
    assert app_node.http(APP).body == b"fine"


def test_a_new_node_process_follows_a_dead_one(app_node):
    old = app_node.process("node")
    old_workers = app_node.processes("worker")
    kill(old)
    wait_replaced(app_node, "node", old)
    wait_until(lambda: answers(app_node), "the app answers again")
    wait_until(lambda: not any(worker.is_alive() for worker in old_workers), "old workers are gone")
    assert last_release(app_node, APP)["state"] == "live"


def test_a_request_in_flight_sees_a_closed_connection_when_the_node_dies(app_node):
    with app_node.connect() as client:
        client.send(b"GET /slow?30 HTTP/1.1\r\nHost: crash.demo.localhost\r\n\r\n")
        wait_until(
            lambda: any(row["state"] == "busy" for row in app_node.json("ps", APP)["workers"]),
            "the request runs",
        )
        kill(app_node.process("node"))
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            client.read_response()
    wait_until(lambda: answers(app_node), "the app answers again")


def test_the_zygotes_death_ends_no_worker(app_node):
    (worker,) = app_node.workers(APP)
    old = app_node.process("zygote")
    kill(old)
    for _ in range(50):
        assert app_node.http(APP).body == b"fine"
    wait_replaced(app_node, "zygote", old)
    assert app_node.workers(APP) == [worker]


def test_a_new_zygote_gives_new_workers(app_node):
    old = app_node.process("zygote")
    kill(old)
    wait_replaced(app_node, "zygote", old)
    (worker,) = app_node.workers(APP)
    kill(worker)
    wait_until(lambda: answers(app_node), "the app answers again")


def worker_that_runs_slow(node):
    """The process that says so: on a busy machine a request may have moved to another worker."""
    began = [event["worker"] for event in node.events(APP) if "slow begins" in event["text"]]
    rows = node.json("ps", APP)["workers"]
    return [Process.of(row["pid"]) for row in rows if row["id"] in began]


def test_a_workers_death_costs_the_request_that_it_runs_and_no_other(app_node):
    with app_node.connect() as client:
        client.send(b"GET /slow?25 HTTP/1.1\r\nHost: crash.demo.localhost\r\n\r\n")
        (worker,) = wait_until(lambda: worker_that_runs_slow(app_node), "the request runs")
        kill(worker)
        assert client.read_response().status == 502
        answer = client.request(host="crash.demo.localhost")
        assert (answer.status, answer.body) == (200, b"fine")


def test_under_load_a_workers_death_costs_at_most_one_request_each(app_node):
    deaths, failures, stop = 10, [], threading.Event()

    def load():
        with app_node.connect() as client:
            while not stop.is_set():
                answer = client.request(host="crash.demo.localhost")
                if answer.status != 200:
                    failures.append(answer)

    clients = [threading.Thread(target=load) for _ in range(8)]
    for client in clients:
        client.start()
    for _ in range(deaths):
        (worker, *_) = wait_until(lambda: app_node.workers(APP), "there is a worker")
        kill(worker)
        wait_until(lambda worker=worker: not worker.is_alive(), "it is gone")
    stop.set()
    for client in clients:
        client.join()
    assert len(failures) <= deaths
    assert {answer.status for answer in failures} <= {502}
    assert answers(app_node)


@pytest.mark.parametrize("order", itertools.permutations(ROLES), ids="-".join)
def test_killed_in_any_order(app_node, order):
    for role in order:
        for process in app_node.processes(role):
            kill(process)
    wait_until(lambda: answers(app_node), "the app answers again", 30.0)
    assert len(app_node.processes("node")) == 1
    assert last_release(app_node, APP)["state"] == "live"


@pytest.mark.parametrize("order", itertools.permutations(("keeper", *ROLES), 2), ids="-".join)
def test_stopped_and_continued_in_any_order(app_node, order):
    processes = []
    for role in order:
        processes += [app_node.keeper] if role == "keeper" else app_node.processes(role)
    for process in processes:
        kill(process, signal.SIGSTOP)
        wait_until(lambda process=process: process.state() == "T", "it is stopped")
    for process in reversed(processes):
        kill(process, signal.SIGCONT)
    wait_until(lambda: answers(app_node), "the app answers", 30.0)


@pytest.mark.parametrize("role", ROLES)
def test_a_stopped_process_does_not_keep_the_node_from_ending(app_node, role):
    for process in app_node.processes(role):
        kill(process, signal.SIGSTOP)
    app_node.kill()
    app_node.start()
    assert app_node.http(APP).body == b"fine"


def test_a_killed_keeper_leaves_the_state_directory_usable_at_once(app_node):
    for _ in range(3):
        app_node.kill()
        app_node.start()
        assert app_node.http(APP).body == b"fine"


@pytest.mark.parametrize("turn", range(6))
def test_a_deploy_that_is_cut_by_kill_9_is_whole_or_not_there(own_node, tmp_path, turn):
    files = {f"data/{number}.bin": os.urandom(20_000) for number in range(100)}
    app = "demo/cut"
    own_node.deploy(apps.write_app(tmp_path / "one"), app)
    two = apps.write_app(
        tmp_path / "two", apps.HELLO.replace("world", "again"), "2.0.0", files=files
    )
    deploying = threading.Thread(target=lambda: own_node.deploy(two, app, check=False))
    deploying.start()
    written = own_node.state / "state.db-wal"
    before = written.stat().st_size if written.exists() else 0
    wait_until(
        lambda: not deploying.is_alive() or written.stat().st_size > before + turn * 300_000,
        "the deploy has written something",
    )
    own_node.kill()
    deploying.join()
    own_node.start()
    body = own_node.http(app).body
    live = [row for row in releases(own_node, app) if row["state"] == "live"]
    assert [row["version"] for row in live] == [
        {b"Hello, world": "1.0.0", b"Hello, again": "2.0.0"}[body]
    ]
    own_node.deploy(two, app, check=False)
    assert own_node.http(app).body == b"Hello, again"


def releases(node, app):
    tenant, name = app.split("/")
    return node.admin("GET", f"/v1/tenants/{tenant}/apps/{name}/releases").json()["releases"]


def test_the_operators_stop_lets_a_running_request_finish(app_node):
    with app_node.connect() as client:
        client.send(b"GET /slow?0.5 HTTP/1.1\r\nHost: crash.demo.localhost\r\n\r\n")
        wait_until(
            lambda: any(row["state"] == "busy" for row in app_node.json("ps", APP)["workers"]),
            "the request runs",
        )
        stopping = threading.Thread(target=app_node.stop)
        stopping.start()
        assert client.read_response().body == b"fine"
        stopping.join()


def test_who_connects_while_the_node_stops_is_refused_at_once(make_node, tmp_path):
    health = ("127.0.0.1", free_port())
    node = make_node({"admin": {"health_listen": f"127.0.0.1:{health[1]}"}}).start()
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    with node.connect() as client, Connection(health) as prober, node.connect_admin() as admin:
        assert prober.request(target="/readyz").status == 200
        assert admin.request(target="/readyz").status == 200
        client.send(b"GET /slow?3 HTTP/1.1\r\nHost: crash.demo.localhost\r\n\r\n")
        wait_until(
            lambda: any(row["state"] == "busy" for row in node.json("ps", APP)["workers"]),
            "the request runs",
        )
        node.remember()
        kill(node.keeper, signal.SIGTERM)
        wait_until(lambda: " stopping " in node.log(), "it was heard")
        for address in (("127.0.0.1", node.port), health, node.socket):
            with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                Connection(address, timeout=2.0).close()
        assert prober.is_closed() and admin.is_closed()
        assert client.read_response().body == b"fine"
    assert node.wait_ended() == 0


def test_the_tests_would_see_a_process_that_is_left(app_node):
    worker = app_node.processes("worker")[0]
    assert worker in app_node.keeper.tree()
    assert Process.of(worker.pid) == worker


STEPS = ["verified", "compiled", "booted", "checked", "live"]
# Takes its time at each step: to be read and compiled, to be imported and to be checked.
SLOW_RELEASE = """
import time
time.sleep(0.3)

def application(environ, start_response):
    time.sleep(0.3)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"two!"]
"""


def running_step(node, version):
    """The step that a release is at, as the state has it."""
    with contextlib.closing(sqlite3.connect(f"file:{node.state}/state.db?mode=ro", uri=True)) as db:
        rows = db.execute(
            "SELECT name FROM steps JOIN releases ON releases.id = release_id"
            " WHERE version = ? AND outcome = 'running'",
            (version,),
        ).fetchall()
    return rows[0][0] if rows else None


@pytest.mark.parametrize("step", STEPS)
def test_the_nodes_death_at_a_step_leaves_the_old_or_the_new_release(app_node, tmp_path, step):
    modules = {f"m{number}.py": f"x = {number}\n" + "y = [1]\n" * 300 for number in range(200)}
    modules["data.bin"] = os.urandom(16 << 20)
    second = apps.write_app(tmp_path / "second", SLOW_RELEASE, "2.0.0", files=modules)
    ended = []
    deploy = threading.Thread(target=lambda: ended.append(app_node.deploy(second, APP, False)))
    old = app_node.process("node")
    deploy.start()
    wait_until(lambda: running_step(app_node, "2.0.0") == step, f"the deploy is at {step}")
    kill(old)
    deploy.join()
    wait_replaced(app_node, "node", old)
    wait_until(lambda: app_node.is_ready(), "the new node is ready")
    rows = app_node.json("releases", APP)["releases"]
    states = {row["version"]: row["state"] for row in rows}
    assert list(states.values()).count("live") == 1, states
    answer = app_node.http(APP).body
    assert answer == (b"two!" if states.get("2.0.0") == "live" else b"fine")
    if ended[0].returncode == 0:
        assert answer == b"two!"
    else:
        assert states["2.0.0"] == "rejected", ended[0].stderr
    app_node.deploy(second, APP)
    assert app_node.http(APP).body == b"two!"
