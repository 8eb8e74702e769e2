"""Larger objects on a server that speaks S3: kept, exact, and without it bounded."""

import hashlib
import os
import pathlib
import signal
import threading
import time

import apps
import pytest
from conformance_test import CONFORMANCE, FILES
from node import Node
from persistence_test import APP, SOURCE, app_folder, ask, id_of
from raw_http import ConnectionEnded
from s3_servers import Front, Plain, Swift, TlsFront
from waiting import wait_until

CASES = [
    line.removeprefix("def ").partition("(")[0]
    for line in FILES["object_cases.py"].splitlines()
    if line.startswith("def case_")
]
LARGE = 300_000
# Beyond what is sent by one request.
PARTS = 40
IN_PARTS = f"persistence.write(bytes([n]) * MIB for n in range({PARTS}))"
AWAY = "storage_unavailable"


@pytest.fixture(scope="module")
def swift():
    server = Swift().start().make_bucket()
    yield server
    server.remove()


@pytest.fixture
def kept(make_node, tmp_path, swift):
    """A node with a prefix of its own on the server."""
    if swift._popen is None:
        swift.start()
    node = make_node({"persistence": swift.settings(prefix=tmp_path.name.replace("_", "-"))})
    node.prefix = tmp_path.name.replace("_", "-") + "/"
    node.start()
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    node.cli("quota", "set", APP, "persistence.writes=100000", "persistence.calls=1000000")
    return node


def keys(swift, node):
    return [key for key in swift.keys() if key.startswith(node.prefix)]


def post(node, data, **options):
    return node.http(APP, "/", "POST", body=data, **options).body.decode()


@pytest.fixture(scope="module")
def conforming(installation, user, swift, tmp_path_factory):
    node = Node(installation, user, {"persistence": swift.settings(prefix="conformance-" + user)})
    try:
        node.start()
        source = (CONFORMANCE / "main.py").read_text()
        folder = apps.write_app(tmp_path_factory.mktemp("app"), source, files=FILES)
        node.deploy(folder, "demo/conformance")
        node.cli("quota", "set", "demo/conformance", "persistence.writes=3000")
        yield node
    finally:
        node.remove()


@pytest.mark.parametrize("name", CASES)
def test_case(conforming, name):
    answer = conforming.http("demo/conformance", f"/run/{name}")
    assert answer.status == 200 and answer.body.decode() == "ok", answer.body.decode()


def test_larger_objects_are_on_the_server_and_small_ones_are_not(kept, swift):
    small, large = os.urandom(1000), os.urandom(LARGE)
    assert post(kept, small) == id_of(small)
    assert keys(swift, kept) == []
    assert post(kept, large) == id_of(large)
    (key,) = keys(swift, kept)
    assert id_of(large) in key and swift.get(key) == large
    for data in (small, large):
        assert kept.http(APP, "/file/" + id_of(data)).body == data
        assert kept.http(APP, "/object/" + id_of(data)).body == data
    assert [path for path in app_folder(kept).glob("objects/*/*") if path.is_file()] == []
    status = kept.json("status")["facts"]
    assert status["objects"] == "larger ones on the server"
    assert ask(kept, f"persistence.delete('{id_of(large)}')") == "True"
    wait_until(lambda: keys(swift, kept) == [], "it goes from the server")


def test_a_very_large_object_is_sent_in_parts_and_read_by_ranges(kept, swift):
    id = ask(kept, IN_PARTS).strip("'")
    whole = b"".join(bytes([n]) * (1 << 20) for n in range(PARTS))
    assert id == id_of(whole)
    assert swift.uploads() == []
    target = "/object/" + id
    answer = kept.http(APP, target)
    assert answer.status == 200 and hashlib.sha256(answer.body).hexdigest() == id
    for first, last in ((0, 0), ((1 << 20) - 1, 1 << 20), (5 << 20, (8 << 20) + 77),
                        ((PARTS << 20) - 1, (PARTS << 20) - 1)):
        answer = kept.http(APP, target, headers=[("Range", f"bytes={first}-{last}")])
        assert answer.status == 206 and answer.body == whole[first : last + 1]
    part = f"(lambda r: (r.seek({(3 << 20) - 2}), r.read(4)))(persistence.open('{id}'))"
    assert ask(kept, part).endswith(repr(b"\x02\x02\x03\x03") + ")")
    assert "all as they were received" in kept.cli("verify", APP).stdout


def test_what_was_acknowledged_is_there_whatever_the_server_does(kept, swift):
    acknowledged, refused = [], []
    stop = threading.Event()

    def write(thread):
        number = 0
        while not stop.is_set():
            data = b"%d:%d;" % (thread, number) + bytes(LARGE if number % 2 else 2000)
            number += 1
            try:
                answer = kept.http(APP, "/", "POST", body=data, timeout=20.0)
            except (OSError, ConnectionEnded):
                continue
            if answer.status == 200:
                acknowledged.append(data)
            else:
                refused.append(answer.status)

    writers = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        count = len(acknowledged)
        wait_until(lambda count=count: len(acknowledged) > count + 30, kept.log, 60)
        swift.stop()
        count = len(refused)
        wait_until(lambda count=count: len(refused) > count, kept.log, 60)
        swift.start()
    # And a node that dies with all that it has under way.
    count = len(acknowledged)
    wait_until(lambda: len(acknowledged) > count + 10, kept.log, 60)
    node = kept.process("node")
    os.kill(node.pid, signal.SIGKILL)
    wait_until(lambda: kept.processes("node") not in ([], [node]), kept.log)
    count = len(acknowledged)
    wait_until(lambda: len(acknowledged) > count + 10, kept.log, 60)
    stop.set()
    for writer in writers:
        writer.join()
    for data in acknowledged:
        assert kept.http(APP, "/object/" + id_of(data)).body == data
    sizes = "[persistence.stat(id).size for id in persistence.objects()]"
    counted = f"(lambda sizes: (sum(sizes), len(sizes)))({sizes})"
    assert ask(kept, f"persistence.usage()[:2] == {counted}") == "True"
    # What was sent for nothing goes at the latest when the store is opened anew.
    kept.restart()
    ask(kept, "persistence.usage()")
    large = f"[id for id in persistence.objects() if persistence.stat(id).size > {LARGE}]"
    ids = sorted(eval(ask(kept, large)))

    def only_rows():
        # After a removal that failed the next one is tried half a minute later, by whoever uses it.
        ask(kept, "persistence.usage()")
        return sorted(key.split("/")[-1].split("-")[0] for key in keys(swift, kept)) == ids

    wait_until(only_rows, lambda: f"only rows: {len(keys(swift, kept))} of {len(ids)}", 90)
    assert swift.uploads() == []


def test_a_server_that_hangs_is_waited_for_within_bounds(kept, swift):
    large = os.urandom(LARGE)
    post(kept, large)
    small = ask(kept, "persistence.write(b'small')").strip("'")
    swift.hang()
    try:
        results = []

        def slow():
            begun = time.monotonic()
            results.append((ask(kept, "persistence.write(bytes(2 * MIB))"),
                            time.monotonic() - begun))

        writer = threading.Thread(target=slow)
        writer.start()
        for _ in range(5):
            begun = time.monotonic()
            assert ask(kept, f"persistence.read('{small}')") == "b'small'"
            assert time.monotonic() - begun < 1
        writer.join()
        (text, took), = results
        assert AWAY in text and took < 10
        text = ask(kept, f"persistence.read('{id_of(large)}')")
        assert AWAY in text
        answer = kept.http(APP, "/object/" + id_of(large))
        assert answer.status == 503
    finally:
        swift.go_on()
    wait_until(lambda: kept.http(APP, "/object/" + id_of(large)).status == 200, kept.log)
    assert len(ask(kept, "persistence.write(bytes(2 * MIB))")) == 66
    assert "object_server_failed" in kept.log()


def test_a_node_that_follows_leaves_alone_what_is_on_its_way(make_node, swift, tmp_path):
    node = make_node({"persistence": {**swift.settings(prefix="follows"), "timeout": "30s"}})
    node.start().deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    data, answers = os.urandom(LARGE), []
    swift.hang()
    try:
        writer = threading.Thread(target=lambda: answers.append(post(node, data)))
        writer.start()
        sending = pathlib.Path(node.state)
        wait_until(lambda: list(sending.glob("apps/*/objects/tmp/*")), "it is on its way")
        os.kill(node.keeper.pid, signal.SIGHUP)
        wait_until(lambda: "node_ready generation=2" in node.log(), node.log)
        # By the one that follows: it opens the store, and sweeps.
        assert wait_until(lambda: ask(node, "persistence.write(b'small')"), node.log)
        assert answers == []
    finally:
        swift.go_on()
    writer.join()
    assert answers == [id_of(data)]
    assert node.http(APP, "/object/" + id_of(data)).body == data


def test_an_altered_object_is_damaged(kept, swift):
    data, sound = os.urandom(3_000_000), os.urandom(LARGE)
    post(kept, data)
    post(kept, sound)
    (key,) = [key for key in keys(swift, kept) if id_of(data) in key]
    altered = bytearray(data)
    altered[1_500_000] ^= 4
    swift.put(key, bytes(altered))
    text = ask(kept, f"persistence.read('{id_of(data)}')")
    assert "object_damaged" in text
    assert "its bytes from 1048576 to 2097152 are not those that were written" in text
    assert ask(kept, f"persistence.open('{id_of(data)}').read(10)") == repr(data[:10])
    verified = kept.cli("verify", APP, check=False)
    assert verified.returncode != 0 and id_of(data)[:12] in verified.stdout + verified.stderr
    swift.delete(key)
    assert "missing on the server" in ask(kept, f"persistence.open('{id_of(data)}').read(-1)")
    assert kept.http(APP, "/object/" + id_of(sound)).body == sound


@pytest.mark.parametrize("wrong", ["secret", "bucket", "port"])
def test_a_server_that_refuses_is_said_to_the_operator(make_node, swift, tmp_path, wrong):
    settings = swift.settings(prefix="refused")
    if wrong == "secret":
        (tmp_path / "wrong").write_text("not this\n")
        settings["secret_key_file"] = str(tmp_path / "wrong")
        apps.open_to_all(tmp_path)
    elif wrong == "bucket":
        settings["server"] = settings["server"].replace("s3://objects", "s3://missing")
    else:
        settings["server"] = settings["server"].replace(str(swift.port), "1")
    node = make_node({"persistence": settings}).start()
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    assert AWAY in ask(node, "persistence.write(bytes(MIB))")
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    refused = node.cli("objects", "put", APP, tmp_path / "large", check=False)
    assert refused.returncode == 1, refused
    assert f"error[{AWAY}]: what keeps objects cannot be reached" in refused.stderr, refused
    assert ask(node, "persistence.usage()") == "Usage(bytes=0, objects=0, names=0)"
    assert len(ask(node, "persistence.write(b'small')")) == 66
    why = {"secret": "SignatureDoesNotMatch", "bucket": "NoSuchBucket", "port": "connect"}[wrong]
    status = node.json("status")["facts"]
    assert why in status["objects"], status["objects"]
    assert why in node.log()
    assert list(app_folder(node).glob("objects/tmp/*")) == []


def endless(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 403 No\r\n\r\n<Error><Code>x</Code>")
    while True:
        connection.sendall(bytes(65536))


def garbage(connection):
    connection.recv(65536)
    connection.sendall(b"\x00\xff\r\n\r\n" * 100)


def trickle(connection):
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(1000):
        connection.sendall(bytes([byte]))
        time.sleep(0.5)


@pytest.mark.parametrize("serve", [endless, garbage, trickle])
def test_no_answer_is_taken_for_more_than_it_is(make_node, swift, tmp_path, serve):
    front = Front(serve)
    settings = swift.settings()
    settings["server"] = settings["server"].replace(str(swift.port), str(front.port))
    node = make_node({"persistence": settings}).start()
    try:
        node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
        begun = time.monotonic()
        assert AWAY in ask(node, "persistence.write(bytes(200000))")
        assert time.monotonic() - begun < 15
        assert ask(node, "persistence.usage()[1]") == "0"
    finally:
        front.close()


@pytest.fixture
def on_plain(make_node, swift, tmp_path):
    plain = Plain()
    node = make_node({"persistence": plain.settings(swift.secret_file)}).start()
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    yield node, plain
    plain.remove()


def test_a_server_that_lists_no_uploads_is_left_nothing(on_plain):
    node, plain = on_plain
    plain.refuses = True
    assert AWAY in ask(node, "persistence.write(bytes(200000))")
    wait_until(lambda: not plain.objects, node.log)
    plain.refuses = False
    assert len(ask(node, "persistence.write(bytes(200000))")) == 66


def test_a_server_that_joins_parts_slowly_is_waited_for(on_plain):
    node, plain = on_plain
    # Longer than one that says nothing is waited for.
    plain.joins_seconds = 4
    whole = b"".join(bytes([n]) * (1 << 20) for n in range(PARTS))
    assert ask(node, IN_PARTS).strip("'") == id_of(whole)
    assert list(plain.objects.values()) == [whole]


def test_with_tls_the_certificate_is_checked(make_node, swift, tmp_path):
    front = TlsFront(tmp_path, swift.port)
    apps.open_to_all(tmp_path)
    settings = swift.settings(prefix="tls")
    settings["server"] = settings["server"].replace(f"http://127.0.0.1:{swift.port}",
                                                    f"https://127.0.0.1:{front.port}")
    try:
        node = make_node({"persistence": settings}).start()
        node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
        assert AWAY in ask(node, "persistence.write(bytes(MIB))")
        assert "certificate" in node.json("status")["facts"]["objects"].lower()
        assert node.stop() == 0
        node.settings["persistence"]["ca_file"] = str(front.certificate)
        node.start()
        data = os.urandom(LARGE)
        assert post(node, data) == id_of(data)
        assert node.http(APP, "/object/" + id_of(data)).body == data
        assert swift.get(next(key for key in swift.keys() if id_of(data) in key)) == data
    finally:
        front.close()


def test_a_deleted_app_leaves_nothing_on_the_server(kept, swift):
    for _ in range(3):
        post(kept, os.urandom(LARGE))
    assert len(keys(swift, kept)) == 3
    kept.cli("apps", "delete", APP, "--force")
    wait_until(lambda: keys(swift, kept) == [], kept.log)


def test_a_node_that_dies_while_it_deletes_an_app_goes_on_with_it(kept, swift):
    for _ in range(3):
        post(kept, os.urandom(LARGE))
    node = kept.process("node")
    swift.hang()
    try:
        kept.cli("apps", "delete", APP, "--force")
        os.kill(node.pid, signal.SIGKILL)
        wait_until(lambda: not node.is_alive(), kept.log)
    finally:
        swift.go_on()
    wait_until(lambda: keys(swift, kept) == [], kept.log)
    wait_until(lambda: not list(pathlib.Path(kept.state).glob("apps/*")), kept.log)


def test_a_backup_has_the_index_and_the_server_the_bytes(kept, make_node, swift, tmp_path):
    small, large = os.urandom(1000), os.urandom(LARGE)
    for data in (small, large):
        post(kept, data)
    place = tmp_path / "backups"
    place.mkdir()
    apps.open_to_all(place)
    place.chmod(0o777)
    done = kept.cli("backup", place / "one")
    assert "1 larger object stays on the server" in done.stdout + done.stderr
    assert not list((place / "one").glob("apps/*/objects/*/*"))
    kept.stop()
    other = make_node({"persistence": kept.settings["persistence"]})
    other.cli("restore", place / "one", "--state-dir", other.state)
    other.start()
    for data in (small, large):
        assert other.http(APP, "/object/" + id_of(data)).body == data
    assert "all as they were received" in other.cli("verify").stdout
