"""The database of an app on a real node: its process, its walls, its quotas, its faults."""

import concurrent.futures
import os
import signal
import socket
import sqlite3
import threading

import apps
import pytest
from query_app import SOURCE, ask
from waiting import wait_until

APP, OTHER = "demo/shop", "demo/other"


@pytest.fixture
def shop(make_node, tmp_path):
    node = make_node().start()
    node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    return node


def query_process(node):
    """The one query process there is, or None."""
    found = node.processes("query")
    assert len(found) <= 1
    return found[0] if found else None


def database_of(node, app=APP):
    number = {APP: 1, OTHER: 2}[app]
    return node.state / f"apps/{number}/query.db"


def test_statements_run_in_a_process_of_the_apps_own(shop):
    assert query_process(shop) is None
    assert ask(shop, APP, "sql('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')") == "[]"
    process = query_process(shop)
    assert process is not None
    assert process.command().startswith("cloister-query: demo/shop")
    assert ask(shop, APP, "sql('INSERT INTO t (name) VALUES (?)', ('tea',))") == "[]"
    assert ask(shop, APP, "sql('SELECT * FROM t')") == "[(1, 'tea')]"
    assert query_process(shop).pid == process.pid
    shop.restart()
    assert ask(shop, APP, "sql('SELECT * FROM t')") == "[(1, 'tea')]"


def test_the_process_is_walled_in(shop):
    ask(shop, APP, "sql('SELECT 1')")
    process = query_process(shop)
    assert process.status("Seccomp") == "2"
    assert process.status("NoNewPrivs") == "1"
    assert int(process.status("CapEff"), 16) == 0 and int(process.status("CapPrm"), 16) == 0
    assert os.listdir(f"/proc/{process.pid}/root") == []
    paths = {link for link in process.descriptors().values() if link.startswith("/")}
    folder = str(database_of(shop).parent)
    assert all(path.startswith((folder, "/dev/urandom")) or path == "/dev/null"
               for path in paths), paths
    assert process.has_own_pid_namespace()


def test_it_is_gone_when_idle_and_comes_back(make_node, tmp_path):
    node = make_node({"query": {"idle_timeout": "300ms"}}).start()
    node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    ask(node, APP, "sql('CREATE TABLE t (a)')")
    assert query_process(node) is not None
    wait_until(lambda: query_process(node) is None, "the process has gone")
    assert ask(node, APP, "sql('INSERT INTO t VALUES (1) RETURNING a')") == "[(1,)]"
    assert ask(node, APP, "sql('SELECT a FROM t')") == "[(1,)]"


def test_a_process_that_dies_costs_its_statements_and_nothing_else(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    held = """
kept['connection'] = db.connect()
kept['connection'].execute('INSERT INTO t VALUES (1)')
result = kept['connection'].in_transaction
"""
    assert ask(shop, APP, held) == "True"
    first = query_process(shop)
    answers = []
    asker = threading.Thread(target=lambda: answers.append(ask(
        shop, APP, "sql('WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
                   "SELECT count(*) FROM r')")))
    asker.start()
    wait_until(lambda: first.state() == "R", "the statement runs")
    os.kill(first.pid, signal.SIGKILL)
    asker.join()
    assert answers[0].startswith("OperationalError: "), answers
    assert "[database_lost]" in answers[0]
    assert ask(shop, APP, "sql('SELECT count(*) FROM t')") == "[(0,)]"
    assert query_process(shop).pid != first.pid
    wait_until(lambda: "Statements failed" in shop.cli("logs", APP).stdout, "the log says so")


def test_a_transaction_that_was_lost_is_told_and_the_connection_goes_on(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    code = """
c = kept['c'] = db.connect()
c.execute('INSERT INTO t VALUES (1)')
"""
    ask(shop, APP, code)
    os.kill(query_process(shop).pid, signal.SIGKILL)
    assert "[database_lost]" in ask(shop, APP, "kept['c'].execute('INSERT INTO t VALUES (2)')")
    code = """
c = kept['c']
c.execute('INSERT INTO t VALUES (3)')
c.commit()
result = c.execute('SELECT a FROM t').fetchall()
"""
    assert ask(shop, APP, code) == "[(3,)]"


@pytest.mark.parametrize("victim", ["query", "worker", "node"])
def test_what_was_acknowledged_survives_kill_9(shop, victim):
    ask(shop, APP, "sql('CREATE TABLE acknowledged (number INTEGER)')")
    shop.cli("quota", "set", APP, "query.statements=1000000")
    seen, first = [], 0
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", shop.port), 30) as connection:
            seen += numbers_of(stream_until_killed(shop, connection, first, victim))
        first = max(seen) + 1000
        if victim == "node":
            shop.wait_ready()
    stored = ask(shop, APP, "[row[0] for row in sql('SELECT number FROM acknowledged')]")
    lost = set(seen) - set(eval(stored))
    assert not lost
    assert len(seen) > 100


def stream_until_killed(node, connection, first, victim):
    connection.sendall(b"GET /stream?%d HTTP/1.1\r\nHost: shop.demo.localhost\r\n\r\n" % first)
    received = b""
    while received.count(b"\n") < 150:
        received += connection.recv(65536)
    process = node.workers(APP)[0] if victim == "worker" else node.process(victim)
    os.kill(process.pid, signal.SIGKILL)
    while True:
        try:
            more = connection.recv(65536)
        except OSError:
            return received
        if not more:
            return received
        received += more


def numbers_of(received):
    """The numbers of a chunked body: each chunk is one, and may be cut off at the end."""
    body = received.partition(b"\r\n\r\n")[2]
    numbers = []
    while b"\r\n" in body:
        size, _, rest = body.partition(b"\r\n")
        if not size or len(rest) < int(size, 16):
            break
        numbers += [int(line) for line in rest[: int(size, 16)].split(b"\n") if line]
        body = rest[int(size, 16) + 2 :]
    return numbers


def test_another_apps_tables_cannot_be_named(shop, tmp_path):
    shop.deploy(apps.write_app(tmp_path / "other", SOURCE), OTHER)
    ask(shop, APP, "sql('CREATE TABLE mine (a)')")
    assert ask(shop, OTHER, "sql('SELECT * FROM mine')").startswith(
        "OperationalError: no such table: mine")
    for name in ("/db", "../1/query.db", str(database_of(shop))):
        answer = ask(shop, OTHER, f"sql({f'ATTACH {name!r} AS other'!r})")
        assert answer.startswith("NotSupportedError: an app has one database"), answer
    assert ask(shop, OTHER, "sql('SELECT name FROM sqlite_master')") == "[]"
    assert len(shop.processes("query")) == 2


def test_fifty_threads_share_the_database(shop):
    shop.cli("quota", "set", APP, "query.statements=1000000", "query.transactions=64")
    ask(shop, APP, "sql('CREATE TABLE t (a INTEGER PRIMARY KEY, n INTEGER)')")
    ask(shop, APP, "sql('INSERT INTO t VALUES (1, 0)')")
    code = """
def work(number):
    for _ in range(10):
        with db.connect(isolation_level='IMMEDIATE') as connection:
            connection.execute('UPDATE t SET n = n + 1')
    return 'ok'
result = set(together(50, work))
"""
    assert ask(shop, APP, code) == "{'ok'}"
    assert ask(shop, APP, "sql('SELECT n FROM t')") == "[(500,)]"


def test_a_statement_that_runs_for_ever_is_stopped(shop):
    shop.cli("quota", "set", APP, "query.statement=300ms")
    answer = ask(shop, APP, "sql('WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
                            "SELECT count(*) FROM r')")
    assert answer.startswith("QuotaExceeded query.statement 300 "), answer
    assert ask(shop, APP, "sql('SELECT 1')") == "[(1,)]"


def test_a_result_that_is_too_large_is_refused(shop):
    answer = ask(shop, APP, "sql('WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
                            "SELECT hex(zeroblob(1000000)) FROM r LIMIT 5000')")
    assert answer.startswith("QuotaExceeded query.result 16777216 "), answer
    assert ask(shop, APP, "len(sql('SELECT zeroblob(16000000)')[0][0])") == "16000000"


def test_large_statements_and_answers_come_whole(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    code = """
value = bytes(range(256)) * 40000
sql('INSERT INTO t VALUES (?)', (value,))
result = sql('SELECT a FROM t')[0][0] == value
"""
    assert ask(shop, APP, code) == "True"
    assert ask(shop, APP, "sql('SELECT ?', (bytes(17 << 20),))").startswith("OverflowError: ")


def test_a_full_database_refuses_and_loses_nothing(shop):
    shop.cli("quota", "set", APP, "query.bytes=256KiB")
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    ask(shop, APP, "sql('INSERT INTO t VALUES (1)')")
    code = """
with db.connect() as connection:
    for number in range(100):
        connection.execute('INSERT INTO t VALUES (zeroblob(20000))')
"""
    assert ask(shop, APP, code).startswith("QuotaExceeded query.bytes 262144 ")
    assert ask(shop, APP, "sql('SELECT * FROM t')") == "[(1,)]"
    many = (
        "db.connect(isolation_level=None)"
        ".executemany('INSERT INTO t VALUES (zeroblob(20000))', [()] * 100)"
    )
    assert ask(shop, APP, many).startswith("QuotaExceeded query.bytes")
    assert ask(shop, APP, "sql('SELECT * FROM t')") == "[(1,)]"
    rows = {row["name"]: row for row in shop.json("quota", "show", APP)["quotas"]}
    assert 0 < rows["query.bytes"]["used"] <= 256 << 10
    wait_until(lambda: {row["name"]: row for row in shop.json("quota", "show", APP)["quotas"]}
               ["query.bytes"].get("refused", 0) >= 2, "the refusals are counted")


def test_a_flipped_bit_is_found_and_said(make_node, tmp_path):
    shop = make_node({"query": {"idle_timeout": "200ms"}}).start()
    shop.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    ask(shop, APP, "sql('CREATE TABLE t (a INTEGER PRIMARY KEY, b)')")
    code = """
connection = db.connect()
connection.executemany('INSERT INTO t VALUES (?, ?)', [(n, 'x' * 1000) for n in range(200)])
connection.commit()
"""
    ask(shop, APP, code)
    # When the process ends in order, what is in the log goes to the file.
    wait_until(lambda: query_process(shop) is None, "the process has gone")
    shop.stop()
    path = database_of(shop)
    assert path.stat().st_size > 200000
    with open(path, "r+b") as file:
        file.seek(20 * 4096 + 2000)
        byte = file.read(1)
        file.seek(20 * 4096 + 2000)
        file.write(bytes([byte[0] ^ 1]))
    os.truncate(str(path) + "-wal", 0)
    shop.start()
    answer = ask(shop, APP, "sql('SELECT sum(length(b)) FROM t')")
    assert answer.startswith("DatabaseError: ") and answer.endswith("[database_damaged]"), answer
    wait_until(lambda: "database file is damaged" in shop.cli("logs", APP).stdout, "the log")


def test_a_file_that_is_no_database_is_said(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    shop.stop()
    database_of(shop).write_bytes(b"no database" * 1000)
    for end in ("-wal", "-shm"):
        os.truncate(str(database_of(shop)) + end, 0)
    shop.start()
    assert "cannot be used" in ask(shop, APP, "sql('SELECT 1')")
    assert "cannot be used" in ask(shop, APP, "sql('SELECT 1')")


def test_a_check_works_on_a_copy(shop, tmp_path):
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    ask(shop, APP, "sql('INSERT INTO t VALUES (1)')")
    source = SOURCE + """
sql("INSERT INTO t VALUES (2)")
seen = sql("SELECT a FROM t")
if seen != [(1,), (2,)] and seen != [(1,), (2,), (2,)]:
    raise RuntimeError(repr(seen))
"""
    shop.deploy(apps.write_app(tmp_path / "next", source, "1.0.1"), APP)
    # Booting live ran it once more, and that stays; the check's is gone.
    assert ask(shop, APP, "sql('SELECT a FROM t')") == "[(1,), (2,)]"
    bad = SOURCE + "\nsql('DROP TABLE t')\nraise RuntimeError('no')\n"
    assert shop.deploy(apps.write_app(tmp_path / "bad", bad, "1.0.2"), APP, check=False).returncode
    assert ask(shop, APP, "sql('SELECT a FROM t')") == "[(1,), (2,)]"


def test_two_nodes_that_follow_each_other_share_the_database(shop):
    """A reload: the old node's workers and the new one's have query processes of their own."""
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    os.kill(shop.keeper.pid, signal.SIGHUP)
    for number in range(50):
        assert ask(shop, APP, f"sql('INSERT INTO t VALUES ({number})')") == "[]"
    assert ask(shop, APP, "sql('SELECT count(*) FROM t')") == "[(50,)]"


def test_a_deleted_app_leaves_nothing(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    folder = database_of(shop).parent
    assert folder.exists()
    shop.cli("apps", "delete", APP, "--force")
    wait_until(lambda: query_process(shop) is None and not folder.exists(), "all is gone")


def test_the_file_is_a_database_of_sqlite(shop):
    """For the operator's own tools, while nothing runs."""
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    ask(shop, APP, "sql('INSERT INTO t VALUES (7)')")
    shop.stop()
    connection = sqlite3.connect(database_of(shop))
    assert connection.execute("SELECT a FROM t").fetchall() == [(7,)]
    connection.close()
    shop.start()


HOSTILE = {
    "garbage": "b'garbage that is no packet'",
    "a short one": "b'x'",
    "an empty one": "b''",
    "an answer": "struct.pack('<BBHII', 2, 0, 0, 1, 1)",
    "a reset": "struct.pack('<BBHII', 3, 0, 0, 9, 0)",
    "an unknown type": "struct.pack('<BBHII', 9, 0, 0, 1, 1)",
    "no statement": "struct.pack('<BBHII', 1, 0, 0, 1, 1) + b'no statement'",
    "an endless one": "struct.pack('<BBHII', 1, 0, 0, 1, 1)"
    " + struct.pack('<QBBBqI', 1, 0, 0, 1, 0, 0) + struct.pack('<BI', 0, 0xffffffff)",
    "too many at a time": "*[struct.pack('<BBHII', 1, 1, 0, 1, number) for number in range(65)]",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_worker_is_ended_and_nothing_else(shop, what):
    shop.cli("quota", "set", APP, "limits.workers=2")
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    process = query_process(shop)
    (worker,) = shop.workers(APP)
    code = f"""
import _io, struct, time
for packet in ({HOSTILE[what]},):
    _io.FileIO(4, "wb", closefd=False).write(packet)
time.sleep(20)
"""
    answer = shop.http(APP, "/", method="POST", body=code.encode())
    assert answer.status == 502, answer
    wait_until(lambda: not worker.is_alive(), "the worker is gone")
    assert ask(shop, APP, "sql('INSERT INTO t VALUES (1) RETURNING a')") == "[(1,)]"
    assert query_process(shop).pid == process.pid
    assert "is no statement" in shop.cli("logs", APP).stdout


def test_large_statements_at_one_time_are_no_harm(shop):
    """More than the process has memory for: some are refused, and nothing else happens."""
    shop.cli("quota", "set", APP, "limits.workers=4", "limits.requests=16")
    ask(shop, APP, "sql('CREATE TABLE blobs (data BLOB)')")
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    process = query_process(shop)
    holder = """
connection = db.connect()
connection.execute('INSERT INTO t VALUES (1)')
time.sleep(2)
connection.commit()
result = 'kept'
"""
    sender = """
import threading
result = []
def send():
    try:
        with db.connect() as connection:
            connection.execute('INSERT INTO blobs VALUES (?)', (bytes(15_000_000),))
        result.append('')
    except db.Error as error:
        result.append(error.code)
threads = [threading.Thread(target=send) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        kept = pool.submit(ask, shop, APP, holder)
        sent = [pool.submit(ask, shop, APP, sender) for _ in range(3)]
        assert kept.result() == "'kept'"
        codes = [code for each in sent for code in eval(each.result())]
    assert len(codes) == 6
    assert set(codes) <= {"", "database_locked", "database_memory"}, codes
    assert query_process(shop).pid == process.pid
    assert ask(shop, APP, "sql('SELECT count(*) FROM blobs')") == f"[({codes.count('')},)]"
    assert ask(shop, APP, "sql('SELECT a FROM t')") == "[(1,)]"


def test_a_worker_that_dies_in_a_transaction_holds_up_nobody(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a)')")
    code = """
kept['c'] = db.connect()
kept['c'].execute('INSERT INTO t VALUES (1)')
"""
    ask(shop, APP, code)
    os.kill(shop.workers(APP)[0].pid, signal.SIGKILL)
    assert ask(shop, APP, "sql('INSERT INTO t VALUES (2)')") == "[]"
    assert ask(shop, APP, "sql('SELECT a FROM t')") == "[(2,)]"


def test_the_node_does_not_notice_a_database_that_is_busy(shop, tmp_path):
    """One app's statement that takes long delays nobody else's, and no request."""
    shop.deploy(apps.write_app(tmp_path / "other", SOURCE), OTHER)
    ask(shop, OTHER, "sql('SELECT 1')")
    endless = ("sql('WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
               "SELECT count(*) FROM r')")
    answers = []
    asker = threading.Thread(target=lambda: answers.append(ask(shop, APP, endless)))
    asker.start()
    wait_until(lambda: len(shop.processes("query")) == 2, "both have a process")
    for _ in range(20):
        assert ask(shop, OTHER, "sql('SELECT 1')") == "[(1,)]"
    assert not answers
    asker.join()
    assert answers[0].startswith("QuotaExceeded query.statement")
