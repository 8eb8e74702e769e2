"""Every quota of the database, reached: quota_rows_test.py names this page."""

import apps
import pytest
from query_app import SOURCE, ask
from waiting import wait_until

ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r"


@pytest.fixture
def app(node, tmp_path, request):
    name = "queries/" + request.node.originalname.removeprefix("test_").replace("_", "-")[:28]
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), name)
    assert ask(node, name, "sql('CREATE TABLE IF NOT EXISTS t (a)')") == "[]"
    return name


def set_quota(node, app, *changes):
    node.cli("quota", "set", app, *changes)


def row_of(node, app, name):
    (row,) = [row for row in node.json("quota", "show", app)["quotas"] if row["name"] == name]
    return row


def is_refused_once_more(node, app, name):
    """The refusal is counted, and the app's log says so."""
    wait_until(lambda: row_of(node, app, name).get("refused", 0) >= 1, f"{name} is counted")
    wait_until(
        lambda: any(f"the quota {name} is used up" in e["text"] for e in node.events(app)),
        "the log says so",
    )


def test_bytes(node, app):
    set_quota(node, app, "query.bytes=128KiB")
    ask(node, app, "sql('INSERT INTO t VALUES (zeroblob(100000))')")
    wait_until(lambda: row_of(node, app, "query.bytes")["used"] > 100000, "the bytes are counted")
    wait_until(
        lambda: any("its quota query.bytes: " in e["text"] for e in node.events(app)),
        "the log says that it is nearly used up",
    )
    answer = ask(node, app, "sql('INSERT INTO t VALUES (zeroblob(100000))')")
    assert answer.startswith("QuotaExceeded query.bytes 131072 "), answer
    is_refused_once_more(node, app, "query.bytes")
    ask(node, app, "sql('DELETE FROM t')")
    assert ask(node, app, "sql('INSERT INTO t VALUES (zeroblob(100000))')") == "[]"
    set_quota(node, app, "query.bytes=1MiB")
    assert ask(node, app, "sql('INSERT INTO t VALUES (zeroblob(100000))')") == "[]"


def test_statement(node, app):
    set_quota(node, app, "query.statement=100ms")
    answer = ask(node, app, f"sql('{ENDLESS}')")
    assert answer.startswith("QuotaExceeded query.statement 100 "), answer
    is_refused_once_more(node, app, "query.statement")


def test_result(node, app):
    set_quota(node, app, "query.result=10KiB")
    assert ask(node, app, "len(sql('SELECT zeroblob(10000)')[0][0])") == "10000"
    answer = ask(node, app, "sql('SELECT zeroblob(10300)')")
    assert answer.startswith("QuotaExceeded query.result 10240 "), answer
    is_refused_once_more(node, app, "query.result")
    set_quota(node, app, "query.result=11KiB")
    assert ask(node, app, "len(sql('SELECT zeroblob(10300)')[0][0])") == "10300"


def test_statements(node, app):
    set_quota(node, app, "query.statements=20")
    answer = ask(node, app, "[sql('SELECT 1') for _ in range(100)]")
    assert answer.startswith("QuotaExceeded query.statements 20 21 "), answer
    assert float(answer.split()[-1]) > 0
    is_refused_once_more(node, app, "query.statements")
    # Of executemany each begun 100 rows count.
    set_quota(node, app, "query.statements=30")
    many = "db.connect(isolation_level=None).executemany('INSERT INTO t VALUES (1)', [()] * {})"
    answer = ask(node, app, many.format(3001))
    assert answer.startswith("QuotaExceeded query.statements 30 ") and answer.endswith(" None")
    wait_until(
        lambda: ask(node, app, many.format(3000)).startswith("<cloister.db.Cursor"), "30 are there"
    )


def test_transactions(node, app):
    set_quota(node, app, "query.transactions=2")
    code = """
connections = [db.connect(isolation_level=None) for _ in range(3)]
for connection in connections:
    connection.execute('BEGIN')
"""
    answer = ask(node, app, code)
    assert answer.startswith("QuotaExceeded query.transactions 2 3 "), answer
    is_refused_once_more(node, app, "query.transactions")
    assert ask(node, app, "sql('BEGIN')") == "[]"


def test_transaction_time(node, app):
    set_quota(node, app, "query.transaction_time=200ms")
    code = """
c = db.connect()
c.execute('INSERT INTO t VALUES (1)')
time.sleep(0.5)
c.execute('INSERT INTO t VALUES (2)')
"""
    answer = ask(node, app, code)
    assert answer.startswith("OperationalError: ") and "[transaction_expired]" in answer, answer
    assert ask(node, app, "sql('SELECT count(*) FROM t')") == "[(0,)]"
    is_refused_once_more(node, app, "query.transaction_time")
