"""SIGHUP changes the node process under load: nobody is refused, reset or asked to come again, and
nobody is answered by an older release than somebody else before."""

import hashlib
import os
import signal
import struct
import threading
import time

import admin_api
import apps
import pytest
from load import EVERY_KIND, NEW, NEW_SOURCE, OLD, SOURCE, Load, request_of
from node import host_of
from raw_http import request_bytes
from waiting import wait_until

APP = "demo/hangup"
HOST = host_of(APP)
REQUEST = request_of(APP)
CONTENTS = "/v1/tenants/demo/contents"
OCTETS = ("Content-Type", "application/octet-stream")


@pytest.fixture
def app_node(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    return own_node


def hang_up(node):
    """Sends SIGHUP and waits until one node process is left, another than before."""
    old = node.process("node")
    os.kill(node.keeper.pid, signal.SIGHUP)
    wait_until(
        lambda: not old.is_alive() and len(node.processes("node")) == 1, "the old one is gone", 60.0
    )


def test_nobody_is_refused_reset_or_closed(app_node):
    with Load(app_node, APP, EVERY_KIND) as load:
        for _ in range(3):
            load.wait_for_more()
            hang_up(app_node)
        load.wait_for_more()
    assert not load.problems


def test_new_connections_are_accepted_all_the_time(app_node):
    def anew(_, request):
        began = time.monotonic()
        with app_node.connect() as client:
            client.send(request)
            yield began, client.read_response()

    with Load(app_node, APP, [anew] * 8) as load:
        for _ in range(3):
            load.wait_for_more()
            hang_up(app_node)
        load.wait_for_more()
    assert not load.problems


def test_nobody_under_load_is_answered_by_an_older_release(app_node, tmp_path):
    second = apps.write_app(tmp_path / "second", NEW_SOURCE, "2.0.0")
    with Load(app_node, APP, EVERY_KIND) as load:
        load.wait_for_more()
        hang_up(app_node)
        app_node.deploy(second, APP)
        wait_until(lambda: load.new_seen, "the new release answers")
        load.wait_for_more()
        hang_up(app_node)
        load.wait_for_more()
    assert not load.problems


def test_no_request_is_decided_by_a_node_that_was_replaced(app_node, tmp_path):
    """The old node still has a request when the new one puts a release live."""
    second = apps.write_app(tmp_path / "second", NEW_SOURCE, "2.0.0")
    old = app_node.process("node")
    upload = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\n\r\n".encode()
    with app_node.connect() as busy, app_node.connect() as half, app_node.connect() as idle:
        for client in (busy, half, idle):
            assert client.request(host=HOST).body == OLD
        busy.send(upload + b"bo")
        half.send(REQUEST[:-1])
        assert idle.request(host=HOST).body == OLD  # and what was sent before has been read
        os.kill(app_node.keeper.pid, signal.SIGHUP)
        wait_until(lambda: len(app_node.processes("node")) == 2, "the new one is there")
        app_node.deploy(second, APP)
        assert app_node.http(APP).body == NEW
        assert old.is_alive()
        half.send(REQUEST[-1:])
        assert half.read_response().body == NEW
        busy.send(b"dy" + REQUEST * 3)
        assert busy.read_response().body == OLD  # decided before the new release was there
        for _ in range(3):
            assert busy.read_response().body == NEW
        wait_until(lambda: not old.is_alive(), "the old one is gone", 60.0)
        for client in (busy, half, idle):
            assert client.request(host=HOST).body == NEW


def test_a_connection_of_an_administrator_goes_on(app_node):
    with app_node.connect_admin() as client:
        assert client.request(target="/readyz").status == 200
        client.send(b"GET /readyz HTTP/1.1\r\nHost: loc")
        hang_up(app_node)
        client.send(b"alhost\r\n\r\n")
        assert client.read_response().status == 200


def test_an_upload_that_was_begun_is_answered(app_node):
    """By the node that has it, which cannot store it any more; the connection goes on."""
    content = os.urandom(100_000)
    batch = hashlib.sha256(content).digest() + struct.pack("<Q", len(content)) + content
    upload = request_bytes("POST", CONTENTS, headers=[OCTETS], body=batch)
    old = app_node.process("node")
    with app_node.connect_admin() as client:
        client.send(upload[:-50_000])
        assert app_node.is_ready()  # and what was sent before has been read
        os.kill(app_node.keeper.pid, signal.SIGHUP)
        wait_until(lambda: app_node.log().count(" node_ready ") == 2, "the new one serves")
        assert app_node.is_ready()
        assert old.is_alive()
        client.send(upload[-50_000:])
        admin_api.assert_problem(client.read_response(), 503, "unavailable")
        stored = client.request("POST", CONTENTS, headers=[OCTETS], body=batch)
        assert stored.status in (200, 201)
    wait_until(lambda: not old.is_alive(), "the old one is gone", 10.0)
    ended = f"node_exited generation=1 pid={old.pid} status=0"
    wait_until(lambda: ended in app_node.log(), app_node.log)


def test_an_upload_without_end_does_not_keep_the_old_one(make_node, tmp_path):
    node = make_node({"node": {"stop_grace": "1s"}}).start()
    node.tenant()
    with node.connect_admin() as client:
        client.send(request_bytes("POST", CONTENTS, headers=[OCTETS], body=b"x" * 1000)[:-1])
        assert node.is_ready()
        hang_up(node)
        assert client.is_closed()
    assert "administrators_late" in node.log()


def test_who_waits_for_an_event_is_answered_and_goes_on(app_node):
    logs = "/v1/tenants/demo/apps/hangup/logs"
    with app_node.connect_admin() as client:
        seen = client.request(target=logs).json()["next"]
        client.send(request_bytes(target=f"{logs}?after={seen + 1000}&wait_ms=60000"))
        assert app_node.is_ready()
        began = time.monotonic()
        hang_up(app_node)
        assert time.monotonic() - began < 20
        answer = client.read_response()
        assert answer.status == 200 and answer.json()["events"] == []
        assert client.request(target=logs).status == 200


def test_the_log_level_is_that_of_the_settings(make_node):
    node = make_node({"node": {"log_level": "warning"}}).start()
    assert " info cloister-node " not in node.log()
    node.settings["node"]["log_level"] = "info"
    node.write_settings()
    hang_up(node)
    wait_until(lambda: " info cloister-node state_opened " in node.log(), "the new one says more")


def test_a_request_that_runs_finishes_on_the_old_one(app_node):
    old = app_node.process("node")
    with app_node.connect() as client:
        client.send(f"GET /slow?2 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        wait_until(
            lambda: any(row["state"] == "busy" for row in app_node.json("ps", APP)["workers"]),
            "the request runs",
        )
        os.kill(app_node.keeper.pid, signal.SIGHUP)
        wait_until(lambda: len(app_node.processes("node")) == 2, "the new one is there")
        assert app_node.http(APP).body == OLD
        assert old.is_alive()
        assert client.read_response().body == OLD
    wait_until(lambda: not old.is_alive(), "the old one is gone", 60.0)
    wait_until(
        lambda: any("slow is done" in event.get("text", "") for event in app_node.events(APP)),
        "what it printed is in the log that the new one keeps",
    )


def test_a_deploy_goes_on_over_a_hang_up(app_node, tmp_path):
    files = {f"data/{number}.bin": os.urandom(20_000) for number in range(200)}
    second = apps.write_app(tmp_path / "second", SOURCE, "2.0.0", files=files)
    outcome = []
    deploying = threading.Thread(
        target=lambda: outcome.append(app_node.deploy(second, APP, check=False))
    )
    deploying.start()
    hang_up(app_node)
    deploying.join()
    if outcome[0].returncode != 0:  # cut while it was uploading: said so, and goes on from there
        assert "again" in outcome[0].stdout + outcome[0].stderr
        app_node.deploy(second, APP)
    assert app_node.http(APP).status == 200
    assert [row["version"] for row in app_node.json("ps", APP)["workers"]] == ["2.0.0"]


def test_a_rollback_goes_on_over_a_hang_up(app_node, tmp_path):
    slow = "import time\ntime.sleep(1)\n" + SOURCE
    app_node.deploy(apps.write_app(tmp_path / "slow", slow, "2.0.0"), APP)
    app_node.deploy(apps.write_app(tmp_path / "third", SOURCE, "3.0.0"), APP)
    outcome = []
    rollback = threading.Thread(target=lambda: outcome.append(app_node.cli("rollback", APP)))
    rollback.start()
    wait_until(
        lambda: any(row["under_way"] for row in app_node.json("releases", APP)["releases"]),
        "the rollback is under way",
    )
    hang_up(app_node)
    rollback.join()
    assert "2.0.0 is live" in outcome[0].stdout
    assert [row["version"] for row in app_node.json("ps", APP)["workers"]] == ["2.0.0"]


def test_what_is_administered_after_it_is_kept(app_node):
    hang_up(app_node)
    app_node.tenant("after")
    app_node.restart()
    assert "after" in [tenant["name"] for tenant in app_node.json("tenants", "list")["tenants"]]
