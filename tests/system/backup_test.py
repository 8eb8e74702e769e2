"""A node is backed up while it is used, and restored into another one that answers the same."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import apps
import pytest
from query_app import SOURCE, ask
from waiting import wait_until

APP, OTHER = "demo/shop", "demo/other"
SECRET = "correct horse battery staple"
LARGE = 3_000_000


@pytest.fixture
def folder(make_node, tmp_path):
    """Where both users may write backups."""
    place = tmp_path / "backups"
    place.mkdir()
    place.chmod(0o777)
    apps.open_to_all(place)
    place.chmod(0o777)
    return place


@pytest.fixture
def shop(make_node, tmp_path):
    node = make_node().start()
    source = SOURCE.replace("from cloister import db", "from cloister import db, persistence")
    node.deploy(apps.write_app(tmp_path / "shop", source), APP)
    node.deploy(apps.write_app(tmp_path / "other", apps.HELLO), OTHER)
    node.cli("config", "set", APP, "GREETING=Good morning")
    subprocess.run(node.cli_command("secrets", "set", APP, "TOKEN"), input=SECRET.encode(),
                   check=True, stdout=subprocess.DEVNULL)
    ask(node, APP, "sql('CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT)')")
    ask(node, APP, "[sql('INSERT INTO rows (text) VALUES (?)', ('x' * 1000,)) for _ in range(50)]")
    small = ask(node, APP, "persistence.write(b'small')")
    large = ask(node, APP, f"persistence.write(bytes({LARGE}))")
    assert hashlib.sha256(bytes(LARGE)).hexdigest() in large and len(small) > 60
    return node


def restored(make_node, backup):
    node = make_node()
    node.cli("restore", backup, "--state-dir", node.state)
    return node.start()


def pieces(backup):
    lines = (backup / "MANIFEST").read_text().splitlines()
    return [line.split(" ", 3)[3] for line in lines if line.startswith("piece ")]


def assert_same(node):
    assert ask(node, APP, "cloister.config['GREETING'], cloister.config['TOKEN']") == repr(
        ("Good morning", SECRET))
    assert ask(node, APP, "sql('PRAGMA integrity_check')") == "[('ok',)]"
    assert int(ask(node, APP, "len(sql('SELECT * FROM rows'))")) >= 50
    small, large = (hashlib.sha256(data).hexdigest() for data in (b"small", bytes(LARGE)))
    assert ask(node, APP, f"persistence.read('{small}')") == "b'small'"
    assert ask(node, APP, f"len(persistence.read('{large}'))") == str(LARGE)
    assert node.http(OTHER).body == b"Hello, world"
    assert "all as they were received" in node.cli("verify").stdout


def test_a_backup_under_writes_restores_into_another_node(shop, make_node, folder):
    stop = threading.Event()
    acknowledged = []

    def write_rows():
        while not stop.is_set():
            acknowledged.append(int(ask(shop, APP, (
                "connection = db.connect()\n"
                "cursor = connection.execute(\"INSERT INTO rows (text) VALUES ('under way')\")\n"
                "persistence.write(b'%d' % cursor.lastrowid * 50000)\n"
                "connection.commit()\nresult = cursor.lastrowid"))))

    thread = threading.Thread(target=write_rows)
    thread.start()
    try:
        wait_until(lambda: len(acknowledged) > 10, "some rows")
        before = len(acknowledged)
        done = shop.json("backup", folder / "one", "--with-node-key")
        at_end = len(acknowledged)
        wait_until(lambda: len(acknowledged) > at_end, "it goes on")
    finally:
        stop.set()
        thread.join()
    assert done["apps"] == 2 and done["pieces"] == len(pieces(folder / "one")) and done["bytes"] > 0
    assert "all as they were" in shop.cli("restore", "--check", folder / "one").stdout
    assert not (shop.state / "backup").exists()
    node = restored(make_node, folder / "one")
    assert_same(node)
    numbers = eval(ask(node, APP, "[row[0] for row in sql('SELECT number FROM rows')]"))
    assert set(acknowledged[:before]) <= set(numbers)
    # It is a node like any other.
    ask(node, APP, "sql('INSERT INTO rows (text) VALUES (1)')")
    node.restart()
    assert_same(node)


def test_the_key_of_secrets_stays_where_it_is(shop, make_node, folder):
    said = shop.cli("backup", folder / "one")
    assert "without the node's key" in said.stderr
    assert "node.key" not in pieces(folder / "one")
    for piece in pieces(folder / "one"):
        assert SECRET.encode() not in (folder / "one" / piece).read_bytes(), piece
    node = make_node()
    node.cli("restore", folder / "one", "--state-dir", node.state)
    key = node.state / "node.key"
    shutil.copy(shop.state / "node.key", key)
    owner = (node.state / "state.db").stat()
    os.chown(key, owner.st_uid, owner.st_gid)
    assert_same(node.start())


def test_a_node_without_secrets_has_no_key_to_save(make_node, folder):
    node = make_node().start()
    answer = json.loads(node.cli("--json", "backup", folder / "one", "--with-node-key").stdout)
    assert answer["node_key"] is False and pieces(folder / "one") == ["state.db"]
    assert answer["on_sql_server"] is False


def test_a_flipped_bit_is_found_and_named(shop, make_node, folder):
    backup = folder / "one"
    shop.cli("backup", backup, "--with-node-key")
    for piece in [*pieces(backup), "MANIFEST"]:
        path = backup / piece
        if path.stat().st_size == 0:
            continue
        original = path.read_bytes()
        broken = bytearray(original)
        broken[len(broken) // 2] ^= 4
        path.write_bytes(broken)
        node = make_node()
        for arguments in (("--check", backup), (backup, "--state-dir", node.state)):
            refused = shop.cli("restore", *arguments, check=False)
            assert refused.returncode == 1 and "error[backup_damaged]" in refused.stderr
            assert piece in refused.stderr
        if piece != "MANIFEST":
            ended = node.start(wait=False).wait_ended()
            assert ended != 0 and "restored to the end" in node.log()
            path.write_bytes(original)
            node.cli("restore", backup, "--state-dir", node.state)
            assert "all as they were received" in node.start().cli("verify").stdout
            node.stop()
        path.write_bytes(original)
    os.truncate(backup / "state.db", 100)
    assert "100 bytes instead of" in shop.cli("restore", "--check", backup, check=False).stderr
    (backup / "state.db").unlink()
    assert "state.db: it is missing" in shop.cli("restore", "--check", backup, check=False).stderr


def test_a_hostile_backup_writes_nowhere_else(shop, folder, tmp_path):
    backup = folder / "one"
    shop.cli("backup", backup)
    target = folder / "state"
    manifest = backup / "MANIFEST"
    original = manifest.read_bytes()
    digest = hashlib.sha256(b"x").hexdigest()
    for path in ("../../outside", "/outside", "apps/1/../../../outside", "apps/1/objects/../x"):
        body = b"cloister-backup 1\nmade now by 1\n" + f"piece {digest} 1 {path}\n".encode()
        end = f"end 1 {hashlib.sha256(body).hexdigest()}\n".encode()
        manifest.write_bytes(body + end)
        refused = shop.cli("restore", backup, "--state-dir", target, check=False)
        assert "a path that no node writes" in refused.stderr and not target.exists()
    manifest.write_bytes(original)
    (backup / "state.db").unlink()
    os.symlink("/etc/passwd", backup / "state.db")
    assert "error[backup_damaged]" in shop.cli(
        "restore", backup, "--state-dir", target, check=False).stderr


def test_what_is_in_the_way_is_said(shop, folder):
    backup = folder / "one"
    shop.cli("backup", backup)
    for arguments, code, exit_code in (
        (("backup", backup), "backup_exists", 1),
        (("restore", backup, "--state-dir", shop.state), "state_in_use", 3),
        (("restore", folder, "--state-dir", folder / "state"), "backup_unreadable", 1),
    ):
        refused = shop.cli(*arguments, check=False)
        assert (refused.returncode, f"error[{code}]" in refused.stderr) == (exit_code, True)
    shop.stop()
    refused = shop.cli("restore", backup, "--state-dir", shop.state, check=False)
    assert refused.returncode == 3 and "error[state_not_empty]" in refused.stderr
    assert ask(shop.start(), APP, "len(sql('SELECT * FROM rows'))") == "50"


def test_kill_9_of_a_backup_leaves_none_and_the_next_one_is_whole(shop, make_node, folder):
    ask(shop, APP, "[persistence.write(b'%d' % n * 200000) for n in range(40)] and 1")
    left = folder / "broken.unfinished"
    process = subprocess.Popen(shop.cli_command("backup", folder / "broken"),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: left.exists() and (left / "state.db").exists(), "it has begun")
    process.kill()
    process.wait()
    assert not (folder / "broken").exists() and not (left / "MANIFEST").exists()
    assert "error[backup_unreadable]" in shop.cli("restore", "--check", left, check=False).stderr
    # The node goes on with it for a while, unless its process is replaced.
    assert "error[backup_in_progress]" in shop.cli("backup", folder / "next", check=False).stderr
    assert not (folder / "next.unfinished").exists()
    os.kill(shop.process("node").pid, signal.SIGKILL)
    wait_until(shop.is_ready, "a node again")
    wait_until(lambda: not (shop.state / "backup").exists(), "it is taken away")
    shop.cli("backup", folder / "third", "--with-node-key")
    assert_same(restored(make_node, folder / "third"))


def test_kill_9_of_a_restore_is_begun_anew(shop, make_node, folder):
    ask(shop, APP, "[persistence.write(b'%d' % n * 900000) for n in range(60)] and 1")
    shop.cli("backup", folder / "one", "--with-node-key")
    node = make_node()
    for delay in (0.0, 0.02, 0.05):
        process = subprocess.Popen(
            shop.cli_command("restore", folder / "one", "--state-dir", node.state),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: (node.state / "restore.unfinished").exists()
                   or process.poll() is not None, "it has begun")
        threading.Event().wait(delay)
        process.kill()
        process.wait()
        if (node.state / "restore.unfinished").exists():
            assert node.start(wait=False).wait_ended() != 0
    node.cli("restore", folder / "one", "--state-dir", node.state)
    assert_same(node.start())


def test_one_at_a_time_and_the_path_decides_what_is_read(shop):
    begun = json.loads(shop.admin("POST", "/v1/backups", {}).body)
    assert shop.admin("POST", "/v1/backups", {}).status == 409
    base = f"/v1/backups/{begun['id']}"
    assert shop.admin("GET", f"{base}/bytes?path=state.db&count=16").body == b"SQLite format 3\0"
    for path in ("../state.db", "node.key", "/etc/passwd", "apps/1/../../state.db", "lock"):
        assert shop.admin("GET", f"{base}/bytes?path={path}").status == 404, path
    assert shop.admin("GET", "/v1/backups/1/bytes?path=state.db").status == 404
    assert shop.admin("POST", f"{base}/apps/77", {}).status == 404
    assert shop.admin("DELETE", base).status == 204
    assert shop.admin("GET", f"{base}/bytes?path=state.db").status == 404
    began = time.monotonic()
    assert shop.admin("POST", "/v1/backups", {"node_key": "x"}).status == 422
    assert time.monotonic() - began < 5
