"""Persistence as apps see it on a node: kept, exact, bounded, and of one app alone."""

import contextlib
import hashlib
import os
import pathlib
import signal
import threading

import apps
import pytest
from node import host_of
from raw_http import ConnectionEnded, request_bytes
from waiting import wait_until

APP = "demo/objects"
# GET /?EXPRESSION as Python; GET /file/ID sends an object, and so does
# the node for GET /object/ID; POST / keeps the body.
SOURCE = """
import os
import threading
import time
import urllib.parse

import cloister
from cloister import persistence

MIB = 1 << 20


def failing(size):
    yield bytes(size)
    raise KeyError("no more")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/object/"):
        headers = [("Cloister-Object", path[8:]), ("Content-Type", "image/png"),
                   ("Set-Cookie", "seen=1")]
        if environ["REQUEST_METHOD"] == "GET":
            start_response((environ["QUERY_STRING"] or "200") + " So it is", headers)
            return iter([b"not this", b"nor this"])
        start_response("200 OK", headers + [("Content-Length", "0")])
        return []
    if path.startswith("/file/"):
        reader = persistence.open(path[6:])
        start_response("200 OK", [("Content-Length", str(reader.size))])
        return environ["wsgi.file_wrapper"](reader, MIB)
    if environ["REQUEST_METHOD"] == "POST":
        result = persistence.write(environ["wsgi.input"])
    else:
        expression = urllib.parse.unquote(environ["QUERY_STRING"])
        try:
            result = repr(eval(expression))
        except cloister.QuotaExceeded as error:
            result = f"{error.quota} {error.limit} {error.used}"
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
"""


def ask(node, expression, app=APP):
    target = "/?" + "".join(f"%{byte:02x}" for byte in expression.encode())
    answer = node.http(app, target)
    assert answer.status == 200, node.cli("logs", app).stdout
    return answer.body.decode()


def id_of(data):
    return hashlib.sha256(data).hexdigest()


def quota_of(node, name, app=APP):
    (row,) = [row for row in node.json("quota", "show", app)["quotas"] if row["name"] == name]
    return row


@pytest.fixture
def kept(make_node, tmp_path):
    node = make_node().start()
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    return node


def app_folder(node):
    (folder,) = pathlib.Path(node.state).glob("apps/*/objects")
    return folder.parent


def object_files(node):
    return sorted(path for path in app_folder(node).glob("objects/*/*") if path.is_file())


def test_an_upload_comes_back_as_it_was_sent(kept):
    for size in (0, 100, 200_000, 5_000_000):
        data = os.urandom(size)
        answer = kept.http(APP, "/", "POST", body=data)
        assert answer.body.decode() == id_of(data)
        assert kept.http(APP, "/file/" + id_of(data)).body == data


def test_each_quota_refuses_what_is_beyond_it_and_keeps_nothing_of_it(kept):
    kept.cli("quota", "set", APP, "persistence.bytes=4MiB", "persistence.object=3MiB")
    for data in ("bytes(3 * MIB + 1)", "[bytes(MIB)] * 3 + [b'x']"):
        assert ask(kept, f"persistence.write({data})") == "persistence.object 3145728 3145729"
    assert ask(kept, "len(persistence.write(bytes(3 * MIB)))") == "64"
    assert ask(kept, "persistence.write(b'x' * (MIB + 1))") == "persistence.bytes 4194304 4194305"
    assert ask(kept, "persistence.write(b'x' * MIB) == ''") == "False"
    assert ask(kept, "persistence.write(b'y')") == "persistence.bytes 4194304 4194305"
    assert ask(kept, "persistence.usage()") == "Usage(bytes=4194304, objects=2, names=0)"
    assert len(object_files(kept)) == 2
    row = quota_of(kept, "persistence.bytes")
    assert (row["used"], row["limit"], row["refused"]) == (4194304, 4194304, 2)
    assert quota_of(kept, "persistence.object")["refused"] == 2
    said = [event["text"] for event in kept.events(APP)]
    assert any("comes near to its quota persistence.bytes" in text for text in said)
    assert any("the quota persistence.bytes is used up" in text for text in said)


def test_very_many_tiny_objects_reach_their_quota(kept):
    kept.cli("quota", "set", APP, "persistence.objects=50", "persistence.writes=100000")
    text = ask(kept, "[persistence.write(b'%d' % n) for n in range(100)]")
    assert text == "persistence.objects 50 51"
    assert ask(kept, "persistence.usage()[1]") == "50"
    put = "[persistence.put(str(n), persistence.write(b'1')) for n in range(100)]"
    assert ask(kept, put) == "persistence.objects 50 51"
    assert ask(kept, "persistence.usage()[2]") == "50"
    assert quota_of(kept, "persistence.objects")["used"] == 50


def test_writes_and_calls_a_second_are_metered(kept):
    kept.cli("quota", "set", APP, "persistence.writes=5")
    quota, limit, used = ask(kept, "[persistence.write(b'%d' % n) for n in range(50)]").split()
    assert (quota, limit) == ("persistence.writes", "5") and int(used) > 5
    assert ask(kept, "len([persistence.exists('0' * 64) for n in range(50)])") == "50"
    kept.cli("quota", "set", APP, "persistence.calls=10")
    quota, limit, _ = ask(kept, "[persistence.exists('0' * 64) for n in range(50)]").split()
    assert (quota, limit) == ("persistence.calls", "10")
    assert quota_of(kept, "persistence.calls")["refused"] >= 1


def test_a_giant_object_stops_at_its_quota(kept):
    kept.cli("quota", "set", APP, "persistence.bytes=20MiB")
    text = ask(kept, "persistence.write(bytes(MIB) for _ in range(1000))")
    assert text == f"persistence.bytes {20 << 20} {21 << 20}"
    wait_until(lambda: not list(app_folder(kept).glob("objects/tmp/*")), "nothing is left of it")
    assert object_files(kept) == []


def test_other_apps_see_nothing_of_it(kept, tmp_path):
    other = "demo/other"
    kept.deploy(apps.write_app(tmp_path / "other", SOURCE), other)
    id = ask(kept, "persistence.write(b'secret')").strip("'")
    ask(kept, f"persistence.put('name', '{id}')")
    assert ask(kept, f"persistence.exists('{id}')", other) == "False"
    assert ask(kept, "persistence.get('name')", other) == "None"
    assert ask(kept, "list(persistence.names()), list(persistence.objects())", other) == "([], [])"
    assert ask(kept, f"persistence.delete('{id}')", other) == "False"
    assert ask(kept, f"persistence.put('n', '{id}')", other).startswith("ObjectNotFound")
    assert ask(kept, f"persistence.read('{id}')") == "b'secret'"


def test_a_check_reads_what_is_there_and_leaves_nothing(kept, tmp_path):
    id = ask(kept, "persistence.write(b'below')").strip("'")
    ask(kept, f"persistence.put('n', '{id}')")
    boot = """
assert persistence.read(persistence.get('n')) == b'below'
if persistence.get('made') is None:
    persistence.put('made', persistence.write(bytes(2 * MIB)))
    persistence.delete_name('n')
    assert persistence.get('n') is None
    persistence.delete_name('made')
    if persistence.get('serving') is None:
        persistence.put('n', persistence.write(b'below'))
"""
    kept.deploy(apps.write_app(tmp_path / "next", SOURCE + boot, "1.0.1"), APP, check=False)
    dry = kept.deploy(
        apps.write_app(tmp_path / "dry", SOURCE + "persistence.write(b'of a check')", "1.0.2"),
        APP,
        arguments=["--dry-run"],
    )
    assert dry.returncode == 0
    assert ask(kept, f"persistence.exists('{id_of(b'of a check')}')") == "False"


def test_what_was_acknowledged_survives_a_kill_of_the_node(kept):
    kept.cli("quota", "set", APP, "persistence.writes=100000", "persistence.calls=1000000")
    acknowledged = []
    stop = threading.Event()

    def get(id):
        return kept.http(APP, "/file/" + id)

    def write(thread):
        number = 0
        while not stop.is_set():
            size = 300_000 if number % 4 == 0 else 2000
            data = b"%d:%d;" % (thread, number) + bytes(size)
            try:
                answer = kept.http(APP, "/", "POST", body=data, timeout=5.0)
            except (OSError, ConnectionEnded):
                continue
            if answer.status == 200:
                acknowledged.append((thread, number, size))
            number += 1

    writers = [threading.Thread(target=write, args=(thread,)) for thread in range(6)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        count = len(acknowledged)
        wait_until(lambda count=count: len(acknowledged) > count + 20, kept.log)
        node = kept.process("node")
        os.kill(node.pid, signal.SIGKILL)
        wait_until(lambda node=node: kept.processes("node") not in ([], [node]), kept.log)
    for _ in range(2):
        count = len(acknowledged)
        wait_until(lambda count=count: len(acknowledged) > count + 10, kept.log)
        # One, that the app is not taken for one that always crashes.
        worker = wait_until(lambda: kept.workers(APP), kept.log)[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
    stop.set()
    for writer in writers:
        writer.join()
    assert len(acknowledged) > 80
    for thread, number, size in acknowledged:
        data = b"%d:%d;" % (thread, number) + bytes(size)
        # Workers begin anew.
        wait_until(lambda id=id_of(data): get(id).status == 200, kept.log)
        assert get(id_of(data)).body == data
    sizes = "[persistence.stat(id).size for id in persistence.objects()]"
    counted = f"(lambda sizes: (sum(sizes), len(sizes)))({sizes})"
    assert ask(kept, f"persistence.usage()[:2] == {counted}") == "True"
    assert not list(app_folder(kept).glob("objects/tmp/*"))


def test_a_worker_that_dies_half_way_leaves_nothing(kept):
    expression = "persistence.write((bytes(MIB), os.kill) [n > 5] for n in range(9)) or 1"
    assert "TypeError" in ask(kept, expression)
    slow = "persistence.write((time.sleep(0.2) or bytes(MIB)) for n in range(100))"

    def write():
        try:
            ask(kept, slow)
        except (AssertionError, OSError, ConnectionEnded):
            pass

    writer = threading.Thread(target=write)
    writer.start()
    temporary = app_folder(kept) / "objects/tmp"
    wait_until(lambda: list(temporary.glob("*")), "it is being written")
    for worker in kept.workers(APP):
        os.kill(worker.pid, signal.SIGKILL)
    writer.join()
    wait_until(lambda: not list(temporary.glob("*")), "nothing is left of it")
    assert ask(kept, "persistence.usage()") == "Usage(bytes=0, objects=0, names=0)"


def test_a_bit_that_flips_is_found_where_it_is_read(kept):
    data = os.urandom(3_000_000)
    kept.http(APP, "/", "POST", body=data)
    ask(kept, "persistence.write(b'sound')")
    (path,) = object_files(kept)
    damaged = bytearray(path.read_bytes())
    damaged[1_500_000] ^= 4
    path.write_bytes(damaged)
    text = ask(kept, f"persistence.read('{id_of(data)}')")
    assert text.startswith("ApiError: ") and "object_damaged" in text
    assert "its bytes from 1048576 to 2097152 are not those that were written" in text
    with_part = f"persistence.open('{id_of(data)}').read(1000)"
    assert ask(kept, with_part) == repr(data[:1000])
    assert ask(kept, f"persistence.read('{id_of(b'sound')}')") == "b'sound'"
    wait_until(lambda: "object_damaged" in kept.log(), "the operator is told")


def test_objects_outlive_the_node_and_go_with_their_app(kept):
    ask(kept, "persistence.put('n', persistence.write(bytes(MIB)))")
    folder = app_folder(kept)
    kept.restart()
    assert ask(kept, "len(persistence.read(persistence.get('n')))") == str(1 << 20)
    refused = kept.cli("apps", "delete", APP, check=False)
    assert refused.returncode == 3 and "error[app_not_empty]" in refused.stderr
    assert "the live release 1.0.0\n" in refused.stderr and " object" in refused.stderr
    deleted = kept.cli("apps", "delete", APP, "--force").stdout
    assert "with 1 release, " in deleted and " object" in deleted
    wait_until(lambda: not folder.exists(), kept.log)


def test_a_node_that_is_replaced_goes_on_with_the_same_objects(kept):
    ask(kept, "persistence.put('n', persistence.write(b'before'))")
    old = kept.process("node")
    os.kill(kept.keeper.pid, signal.SIGHUP)
    wait_until(lambda: kept.processes("node") not in ([], [old]), kept.log)
    wait_until(lambda: len(kept.processes("node")) == 1, kept.log)
    assert ask(kept, "persistence.read(persistence.get('n'))") == "b'before'"


def test_the_node_sends_the_object_that_a_response_names(kept):
    data = os.urandom(3 << 20)
    id = kept.http(APP, method="POST", body=data).body.decode()
    answer = kept.http(APP, f"/object/{id}")
    assert (answer.status, answer.body) == (200, data)
    assert answer.header("Content-Length") == str(len(data))
    assert answer.header("Content-Type") == "image/png"
    assert answer.header("Set-Cookie") == "seen=1"
    assert answer.header("ETag") == f'"{id}"'
    assert answer.header("Cloister-Object") is None
    part = kept.http(APP, f"/object/{id}", headers=[("Range", "bytes=1048570-1048580")])
    assert (part.status, part.body) == (206, data[1048570:1048581])
    assert part.header("Content-Range") == f"bytes 1048570-1048580/{len(data)}"
    unchanged = kept.http(APP, f"/object/{id}", headers=[("If-None-Match", f'"{id}"')])
    assert (unchanged.status, unchanged.body) == (304, b"")
    head = kept.http(APP, f"/object/{id}", method="HEAD")
    assert (head.status, head.header("Content-Length"), head.body) == (200, str(len(data)), b"")
    beyond = kept.http(APP, f"/object/{id}", headers=[("Range", "bytes=9999999-")])
    assert beyond.status == 416
    page = kept.http(APP, f"/object/{id}?404")
    assert (page.status, page.body) == (404, data)


def test_a_response_that_names_no_object_says_so(kept):
    missing = "0" * 64
    answer = kept.http(APP, f"/object/{missing}")
    assert answer.status == 404 and b"object_not_found" in answer.body
    refused = kept.http(APP, "/object/../../etc/passwd")
    assert refused.status == 502 and b"response_refused" in refused.body
    log = kept.cli("logs", APP).stdout
    assert missing in log and "64 hexadecimal digits" in log


def test_many_clients_of_a_large_object_hold_no_worker(kept):
    """Each reads slowly; the app, which has one worker, answers others meanwhile."""
    data = os.urandom(8 << 20)
    id = kept.http(APP, method="POST", body=data).body.decode()
    slow = []
    for _ in range(20):
        client = kept.connect(receive_buffer=4096)
        client.send(request_bytes("GET", f"/object/{id}", host_of(APP)))
        slow.append(client)
    assert ask(kept, "1 + 1") == "2"
    for client in slow:
        with client:
            assert client.read_response().body == data
