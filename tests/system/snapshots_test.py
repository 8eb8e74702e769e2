"""Snapshots of an app's database: taken before a release script, gone back to, and forth again."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import threading

import apps
import pytest
from query_app import SOURCE, ask
from waiting import wait_until

APP = "demo/shop"

# Each version's script leaves a row, and changes a table.
SCRIPT = """
from cloister import db

def run():
    connection = db.connect(isolation_level=None)
    connection.execute("CREATE TABLE IF NOT EXISTS runs (version TEXT)")
    connection.execute("INSERT INTO runs VALUES ('{version}')")
    {what}
"""


def write(folder, version, what="pass", source=SOURCE):
    folder = apps.write_app(folder / version, source, version, name="shop",
                            files={"bring.py": SCRIPT.format(version=version, what=what)})
    manifest = folder / "cloister.toml"
    manifest.write_text(manifest.read_text().replace("[entry]", '[entry]\nrelease = "bring:run"'))
    return folder


def runs(node):
    return eval(ask(node, APP, "[row[0] for row in sql('SELECT version FROM runs')]"))


def snapshots(node):
    return node.json("snapshots", APP)["snapshots"]


@pytest.fixture
def shop(make_node, tmp_path):
    node = make_node().start()
    node.deploy(write(tmp_path, "1.0.0"), APP)
    ask(node, APP, "sql('CREATE TABLE notes (text TEXT)')")
    ask(node, APP, "sql('INSERT INTO notes VALUES (?)', ('before',))")
    return node


def test_a_rollback_with_data_goes_back_and_there_is_a_way_forth(shop, tmp_path):
    assert snapshots(shop) == [], "nothing was live before the first"
    done = shop.deploy(write(tmp_path, "2.0.0", "connection.execute('DROP TABLE notes')"), APP)
    assert "snapshot 1 (" in done.stdout
    (taken,) = snapshots(shop)
    assert (taken["version"], taken["number"]) == ("1.0.0", 1) and taken["bytes"] > 4096
    assert "no such table" in ask(shop, APP, "sql('SELECT * FROM notes')")
    ask(shop, APP, "sql('CREATE TABLE later (a)')")

    back = shop.cli("rollback", APP, "--with-data", "--yes")
    assert "1.0.0 is live" in back.stdout and "snapshot 1" in back.stderr
    assert ask(shop, APP, "sql('SELECT * FROM notes')") == "[('before',)]"
    assert runs(shop) == ["1.0.0"]
    ask(shop, APP, "sql('INSERT INTO notes VALUES (?)', ('after',))")
    assert [each["version"] for each in snapshots(shop)] == ["2.0.0", "1.0.0"]

    shop.restart()
    assert ask(shop, APP, "sql('SELECT * FROM notes')") == "[('before',), ('after',)]"
    forth = shop.json("rollback", APP, "2.0.0", "--with-data", "--yes")
    assert forth["release"]["version"] == "2.0.0" and forth["snapshot"] == 0
    assert runs(shop) == ["1.0.0", "2.0.0"], "no script runs"
    assert ask(shop, APP, "sql('SELECT * FROM later')") == "[]"
    # The first snapshot is what it was; the one of the way back is newer.
    again = shop.cli("rollback", APP, "1.0.0", "--with-data", "--yes")
    assert again.returncode == 0
    assert ask(shop, APP, "sql('SELECT * FROM notes')") == "[('before',), ('after',)]"


def test_it_shows_what_would_be_lost_and_asks(shop, tmp_path):
    shop.deploy(write(tmp_path, "2.0.0"), APP)
    refused = shop.cli("rollback", APP, "--with-data", check=False)
    assert refused.returncode == 2 and "error[confirmation_needed]" in refused.stderr
    assert "taken" in refused.stderr and "ago" in refused.stderr and "KiB" in refused.stderr
    assert "as many rows in both" in refused.stderr and "notes" not in refused.stderr
    ask(shop, APP, "sql('INSERT INTO notes VALUES (?), (?)', ('a', 'b'))")
    ask(shop, APP, "sql('CREATE TABLE \"more \"\"of\"\" it\" (a)')")
    shown = shop.cli("rollback", APP, "--with-data", check=False).stderr.splitlines()
    assert [line.split() for line in shown if "notes" in line] == [["notes", "3", "1"]]
    assert [line.split() for line in shown if "of" in line and "it" in line.split()] == [
        ["more", '"of"', "it", "0", "-"]]
    answered = {}
    for answer in ("no", "yes"):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(shop.cli_command("rollback", APP, "--with-data"), stdin=theirs,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.close(theirs)
        os.write(ours, answer.encode() + b"\n")
        process.communicate(timeout=60)
        answered[answer] = process.returncode
        os.close(ours)
    assert answered == {"no": 3, "yes": 0}
    assert runs(shop) == ["1.0.0"]


def test_a_broken_database_keeps_nobody_from_going_back(shop, tmp_path):
    shop.deploy(write(tmp_path, "2.0.0"), APP)
    shop.cli("quota", "set", APP, "query.statements=1")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(shop.cli_command("rollback", APP, "--with-data"), stdin=theirs,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    os.write(ours, b"yes\n")
    _, told = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0 and ("?" in told or "not counted" in told), told


def test_a_shell_reads_a_snapshot_and_changes_none(shop, tmp_path):
    shop.deploy(write(tmp_path, "2.0.0", "connection.execute('DELETE FROM notes')"), APP)
    ask(shop, APP, "sql('INSERT INTO notes VALUES (?)', ('since',))")

    def shell(sql, *arguments):
        return shop.cli("db", "shell", APP, "--json", "-c", sql, *arguments, check=False)

    of_snapshot = ("--snapshot", "1")
    assert shell("SELECT text FROM notes").stdout == '{"text":"since"}\n'
    assert shell("SELECT text FROM notes", *of_snapshot).stdout == '{"text":"before"}\n'
    refused = shell("DELETE FROM notes", *of_snapshot)
    assert refused.returncode == 3 and "sql_read_only" in refused.stdout
    absent = shell("SELECT 1", "--snapshot", "7")
    assert json.loads(absent.stdout)["error"]["code"] == "snapshot_not_found"
    assert shell("SELECT 1", "--write", *of_snapshot).returncode == 2
    both = shop.admin("POST", "/v1/tenants/demo/apps/shop/shells", {"write": True, "snapshot": 1})
    assert both.status == 422 and b"field_invalid" in both.body
    # What the app uses is that of its database.
    assert shell("SELECT text FROM notes").stdout == '{"text":"since"}\n'
    assert "on snapshot 1 of the database, to read" in str(shop.events(APP))
    back = shop.cli("rollback", APP, "--with-data", "--yes")
    assert "1.0.0 is live" in back.stdout
    assert ask(shop, APP, "sql('SELECT * FROM notes')") == "[('before',)]"


def test_what_cannot_go_back_is_refused(shop, tmp_path):
    shop.deploy(apps.write_app(tmp_path / "plain", SOURCE, "1.5.0", name="shop"), APP)
    refused = shop.cli("rollback", APP, "--with-data", "--yes", check=False)
    assert refused.returncode == 1 and "error[snapshot_not_found]" in refused.stderr
    live = shop.cli("rollback", APP, "1.5.0", "--with-data", "--yes", check=False)
    assert "error[release_not_servable]" in live.stderr
    answer = shop.admin("POST", "/v1/tenants/demo/apps/shop/rollback",
                        {"version": "1.0.0", "snapshot": 1})
    assert answer.status == 422 and b"field_invalid" in answer.body


def test_the_snapshot_is_whole_while_the_app_writes(shop, tmp_path):
    """Every row that was acknowledged before the deploy began is in it, and no half transaction."""
    ask(shop, APP, "sql('CREATE TABLE pairs (a INTEGER, b INTEGER)')")
    stop = threading.Event()
    acknowledged = []

    def write_pairs():
        number = 0
        while not stop.is_set():
            code = (f"connection = db.connect()\n"
                    f"connection.execute('INSERT INTO pairs VALUES ({number}, 0)')\n"
                    f"connection.execute('UPDATE pairs SET b = a WHERE a = {number}')\n"
                    f"connection.commit()\nresult = 1")
            if ask(shop, APP, code) == "1":
                acknowledged.append(number)
            number += 1

    thread = threading.Thread(target=write_pairs)
    thread.start()
    try:
        wait_until(lambda: len(acknowledged) > 20, "some rows")
        before = len(acknowledged)
        shop.deploy(write(tmp_path, "2.0.0"), APP)
        at_end = len(acknowledged)
        wait_until(lambda: len(acknowledged) > at_end + 5, "more rows")
    finally:
        stop.set()
        thread.join()
    shop.cli("rollback", APP, "--with-data", "--yes")
    pairs = eval(ask(shop, APP, "sql('SELECT a, b FROM pairs ORDER BY a')"))
    assert [a for a, _ in pairs[:before]] == acknowledged[:before]
    assert all(a == b for a, b in pairs)
    assert ask(shop, APP, "sql('PRAGMA integrity_check')") == "[('ok',)]"


def test_a_request_under_way_finishes_on_the_database_it_began_with(shop, tmp_path):
    shop.deploy(write(tmp_path, "2.0.0"), APP)
    code = ("connection = db.connect()\n"
            "connection.execute('INSERT INTO notes VALUES (?)', ('half',))\n"
            "print('begun', flush=True)\n"
            "time.sleep(2)\n"
            "connection.execute('INSERT INTO notes VALUES (?)', ('whole',))\n"
            "connection.commit()\nresult = sql('SELECT version FROM runs')")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(shop, APP, code)))
    thread.start()
    wait_until(lambda: any("begun" in (e.get("text") or "") for e in shop.events(APP)), "begun")
    shop.cli("rollback", APP, "--with-data", "--yes")
    assert runs(shop) == ["1.0.0"]
    assert "half" not in ask(shop, APP, "sql('SELECT * FROM notes')")
    thread.join()
    assert answers == ["[('1.0.0',), ('2.0.0',)]"]
    assert "whole" not in ask(shop, APP, "sql('SELECT * FROM notes')")
    shop.cli("rollback", APP, "2.0.0", "--with-data", "--yes")
    assert "whole" in ask(shop, APP, "sql('SELECT * FROM notes')"), "it is in the one replaced"


def test_kill_9_leaves_the_one_or_the_other(shop, tmp_path):
    shop.deploy(write(tmp_path, "2.0.0"), APP)
    both = {"1.0.0": ["1.0.0"], "2.0.0": ["1.0.0", "2.0.0"]}
    seen = set()
    for number in range(8):
        now = shop.json("apps", "info", APP)
        live = "2.0.0" if runs(shop) == both["2.0.0"] else "1.0.0"
        other = "1.0.0" if live == "2.0.0" else "2.0.0"
        process = subprocess.Popen(shop.cli_command("rollback", APP, other, "--with-data", "--yes"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if number < 7:
            # Later and later in the walk, and at last after it.
            deadline = threading.Event()
            deadline.wait(0.02 * number)
            generation = shop.process("node").pid
            os.kill(generation, signal.SIGKILL)
        process.wait(timeout=60)
        wait_until(shop.is_ready, "a node again")
        releases = shop.json("releases", APP)["releases"]
        serving = [each["version"] for each in releases if each["state"] == "live"]
        assert len(serving) == 1 and runs(shop) == both[serving[0]], (now, serving)
        assert ask(shop, APP, "sql('PRAGMA integrity_check')") == "[('ok',)]"
        seen.add(serving[0])
    assert seen == {"1.0.0", "2.0.0"}


def test_only_so_many_stay_and_nothing_else_is_left(make_node, tmp_path):
    node = make_node(settings={"releases": {"snapshots_max": 2}}).start()
    for number in range(1, 6):
        node.deploy(write(tmp_path, f"{number}.0.0"), APP)
    assert [each["version"] for each in snapshots(node)] == ["4.0.0", "3.0.0"]
    kept = sorted(os.listdir(node.state / "apps/1/data"))
    assert kept == sorted(str(each["number"]) for each in snapshots(node))
    for number in kept:
        copy = sqlite3.connect(node.state / f"apps/1/data/{number}/query.db")
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        copy.close()


def test_a_large_database_has_neither_snapshot_nor_rehearsal(make_node, tmp_path):
    node = make_node(settings={"releases": {"snapshot_size": "64KiB"}}).start()
    node.deploy(write(tmp_path, "1.0.0"), APP)
    ask(node, APP, "sql('CREATE TABLE blobs (b BLOB)')")
    ask(node, APP, "sql('INSERT INTO blobs VALUES (zeroblob(200000))')")
    done = node.deploy(write(tmp_path, "2.0.0"), APP)
    assert "no snapshot" in done.stdout and snapshots(node) == []
    # Past 256 MiB the overlay can only be read.
    large = "[sql('INSERT INTO blobs VALUES (randomblob(30000000))') for _ in range(9)] and 1"
    assert ask(node, APP, large) == "1"
    refused = node.deploy(write(tmp_path, "3.0.0"), APP, check=False)
    assert refused.returncode == 3 and "error[rehearsal_read_only]" in refused.stderr
    assert "--no-rehearsal" in refused.stderr
    done = node.deploy(write(tmp_path, "3.0.0"), APP, arguments=["--no-rehearsal"])
    assert "not rehearsed" in done.stdout
    assert runs(node) == ["1.0.0", "2.0.0", "3.0.0"]
