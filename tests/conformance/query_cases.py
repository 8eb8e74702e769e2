"""What the database does, wherever it runs: as cases.py, each begins with an empty database."""

import datetime
import decimal
import threading

import cloister
from cloister import db, query
from expect import raised

I64_MAX = (1 << 63) - 1


def empty():
    """Removes every table: what each case begins with."""
    connection = db.connect(isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    rows = connection.execute("SELECT type, name FROM sqlite_master WHERE type IN "
                              "('table', 'view') AND name NOT LIKE 'sqlite_%'").fetchall()
    for kind, name in rows:
        connection.execute(f'DROP {kind} IF EXISTS "{name}"')
    connection.close()


def made(sql="CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)", **options):
    connection = db.connect(**options)
    connection.execute(sql)
    connection.commit()
    return connection


# --- the module and its exceptions, as PEP 249 has them


def case_the_module_says_what_it_is():
    assert (db.apilevel, db.paramstyle) == ("2.0", "qmark")
    assert db.threadsafety in (0, 1, 2, 3)


def case_exceptions_are_those_of_pep_249():
    assert issubclass(db.Warning, Exception) and issubclass(db.Error, Exception)
    assert issubclass(db.InterfaceError, db.Error) and issubclass(db.DatabaseError, db.Error)
    for kind in (db.DataError, db.OperationalError, db.IntegrityError, db.InternalError,
                 db.ProgrammingError, db.NotSupportedError):
        assert issubclass(kind, db.DatabaseError)
        assert getattr(db.Connection, kind.__name__) is kind
    assert issubclass(db.QuotaExceeded, db.OperationalError)
    assert issubclass(db.QuotaExceeded, cloister.QuotaExceeded)


# --- values


def case_values_come_back_as_they_were():
    connection = made("CREATE TABLE t (a)")
    values = [None, 0, 1, -1, I64_MAX, -I64_MAX - 1, 0.5, -1e300, float("inf"), "", "ä€𝄞"]
    values += ["a\0b", b"", b"\0\xff", "x" * 100000, b"y" * 100000, True]
    for value in values:
        assert connection.execute("SELECT ?", (value,)).fetchone() == (value,), repr(value)[:40]
    assert connection.execute("SELECT ?", (bytearray(b"ab"),)).fetchone() == (b"ab",)
    assert connection.execute("SELECT ?", (memoryview(b"ab"),)).fetchone() == (b"ab",)


def case_values_that_no_column_takes_are_refused():
    connection = db.connect()
    raised(db.ProgrammingError, connection.execute, "SELECT ?", (object(),))
    raised(db.ProgrammingError, connection.execute, "SELECT ?", ("\ud800",))
    raised(OverflowError, connection.execute, "SELECT ?", (I64_MAX + 1,))


def case_parameters_have_places_or_names():
    connection = db.connect()
    assert connection.execute("SELECT ?, ?", (1, 2)).fetchone() == (1, 2)
    assert connection.execute("SELECT ?2, ?1", [1, 2]).fetchone() == (2, 1)
    assert connection.execute("SELECT :a, @b, $c, :a", {"a": 1, "b": 2, "c": 3}).fetchone() == (
        1, 2, 3, 1)
    assert connection.execute("SELECT ?", (value for value in (1,))).fetchone() == (1,)
    raised(db.ProgrammingError, connection.execute, "SELECT ?", ())
    raised(db.ProgrammingError, connection.execute, "SELECT ?", (1, 2))
    raised(db.ProgrammingError, connection.execute, "SELECT :a", {"b": 1})
    raised(db.ProgrammingError, connection.execute, "SELECT ?", 5)
    raised(TypeError, connection.execute, b"SELECT 1")


def case_adapters_and_converters_change_values():
    connection = made("CREATE TABLE t (d DATE, s TIMESTAMP)", detect_types=db.PARSE_DECLTYPES)
    day, moment = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30, 1, 250000)
    connection.execute("INSERT INTO t VALUES (?, ?)", (day, moment))
    assert connection.execute("SELECT d, s FROM t").fetchone() == (day, moment)
    db.register_adapter(decimal.Decimal, str)
    assert connection.execute("SELECT ?", (decimal.Decimal("1.50"),)).fetchone() == ("1.50",)
    connection.rollback()


def case_rows_can_have_names():
    connection = made()
    connection.row_factory = db.Row
    row = connection.execute("SELECT 1 AS a, 'x' AS B").fetchone()
    assert (row["a"], row["b"], row[1], len(row), row.keys()) == (1, "x", "x", 2, ["a", "B"])
    assert tuple(row) == (1, "x")
    raised(IndexError, row.__getitem__, "c")


# --- cursors


def case_a_cursor_describes_and_counts():
    connection = made()
    cursor = connection.cursor()
    assert (cursor.description, cursor.rowcount, cursor.lastrowid) == (None, -1, None)
    cursor.execute("INSERT INTO t (name) VALUES ('a')")
    assert (cursor.description, cursor.rowcount, cursor.lastrowid) == (None, 1, 1)
    cursor.executemany("INSERT INTO t (name) VALUES (?)", [("b",), ("c",)])
    assert cursor.rowcount == 2
    cursor.execute("UPDATE t SET name = 'x' WHERE id > 1")
    assert cursor.rowcount == 2
    cursor.execute("SELECT id, name AS n FROM t WHERE 0")
    assert [column[0] for column in cursor.description] == ["id", "n"]
    assert all(len(column) == 7 for column in cursor.description)
    assert (cursor.fetchone(), cursor.fetchall(), cursor.rowcount) == (None, [], -1)
    connection.rollback()


def case_rows_are_fetched_one_by_one_and_together():
    connection = made()
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, str(i)) for i in range(10)])
    cursor = connection.execute("SELECT id FROM t ORDER BY id")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany() == [(1,)]
    assert cursor.fetchmany(3) == [(2,), (3,), (4,)]
    assert next(cursor) == (5,)
    assert cursor.fetchall() == [(6,), (7,), (8,), (9,)]
    assert (cursor.fetchone(), cursor.fetchmany(2), list(cursor)) == (None, [], [])
    connection.rollback()


def case_what_is_closed_is_of_no_use():
    connection = db.connect()
    cursor = connection.cursor()
    cursor.close()
    raised(db.ProgrammingError, cursor.execute, "SELECT 1")
    connection.close()
    connection.close()
    raised(db.ProgrammingError, connection.execute, "SELECT 1")


# --- transactions


def case_a_change_begins_a_transaction():
    connection, other = made(), db.connect()
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    assert connection.in_transaction
    assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
    connection.commit()
    assert not connection.in_transaction
    assert other.execute("SELECT count(*) FROM t").fetchone() == (1,)
    connection.execute("DELETE FROM t")
    connection.rollback()
    assert other.execute("SELECT count(*) FROM t").fetchone() == (1,)


def case_without_an_isolation_level_every_statement_stays():
    connection = made(isolation_level=None)
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    assert not connection.in_transaction
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t (name) VALUES ('b')")
    assert connection.in_transaction
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT name FROM t").fetchall() == [("a",)]


def case_a_with_block_commits_or_undoes():
    connection = made()
    with connection:
        connection.execute("INSERT INTO t (name) VALUES ('a')")
    try:
        with connection:
            connection.execute("INSERT INTO t (name) VALUES ('b')")
            raise KeyError
    except KeyError:
        pass
    assert connection.execute("SELECT name FROM t").fetchall() == [("a",)]


def case_savepoints_nest():
    connection = made(isolation_level=None)
    connection.execute("SAVEPOINT one")
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    connection.execute("SAVEPOINT two")
    connection.execute("INSERT INTO t (name) VALUES ('b')")
    connection.execute("ROLLBACK TO two")
    connection.execute("RELEASE one")
    assert not connection.in_transaction
    assert connection.execute("SELECT name FROM t").fetchall() == [("a",)]


def case_what_is_not_committed_goes_with_its_connection():
    connection = made()
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    connection.close()
    assert db.connect().execute("SELECT count(*) FROM t").fetchone() == (0,)


def case_writers_wait_for_each_other():
    first = made()
    first.execute("INSERT INTO t (name) VALUES ('a')")
    done = []

    def write():
        with db.connect() as second:
            second.execute("INSERT INTO t (name) VALUES ('b')")
        done.append(True)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(0.2)
    assert not done
    first.commit()
    thread.join(10)
    assert done
    assert first.execute("SELECT count(*) FROM t").fetchone() == (2,)


def case_executemany_is_all_or_nothing():
    connection = made(isolation_level=None)
    rows = [(1, "a"), (2, "b"), (1, "again")]
    raised(db.IntegrityError, connection.executemany, "INSERT INTO t VALUES (?, ?)", rows)
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    connection.executemany("INSERT INTO t VALUES (:id, :name)",
                           [{"id": 1, "name": "a"}, {"name": "b", "id": 2}])
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
    raised(db.ProgrammingError, connection.executemany, "SELECT ?", [(1,)])


def case_scripts_run_statement_by_statement():
    connection = db.connect()
    connection.executescript("""
        CREATE TABLE t (a); -- a comment; with a semicolon
        CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET a = a + 1; END;
        INSERT INTO t VALUES (1);
    """)
    assert connection.execute("SELECT a FROM t").fetchall() == [(2,)]
    raised(db.ProgrammingError, connection.execute, "SELECT 1; SELECT 2")
    assert connection.execute("SELECT 1; -- nothing follows").fetchone() == (1,)


def case_foreign_keys_are_kept_where_they_are_asked_for():
    connection = made("CREATE TABLE a (id INTEGER PRIMARY KEY)", isolation_level=None)
    connection.execute("CREATE TABLE b (a INTEGER REFERENCES a (id))")
    connection.execute("INSERT INTO b VALUES (1)")
    connection.execute("PRAGMA foreign_keys = ON")
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    raised(db.IntegrityError, connection.execute, "INSERT INTO b VALUES (2)")
    other = db.connect(isolation_level=None)
    assert other.execute("PRAGMA foreign_keys").fetchone() == (0,)
    other.execute("INSERT INTO b VALUES (3)")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO b VALUES (4)")


# --- errors


def case_errors_say_what_is_wrong():
    connection = made()
    assert "no such table: nope" in str(raised(
        db.OperationalError, connection.execute, "SELECT * FROM nope"))
    assert "syntax error" in str(raised(db.OperationalError, connection.execute, "SELEC 1"))
    connection.execute("INSERT INTO t VALUES (1, 'a')")
    assert "UNIQUE" in str(raised(
        db.IntegrityError, connection.execute, "INSERT INTO t VALUES (1, 'b')"))
    assert connection.execute("SELECT name FROM t").fetchall() == [("a",)]
    connection.rollback()


REFUSED = {
    "ATTACH 'other' AS other": "one database",
    "ATTACH ':memory:' AS other": "one database",
    "DETACH main": "one database",
    "VACUUM": "one database",
    "VACUUM INTO 'copy'": "one database",
    "CREATE TEMP TABLE x (a)": "temporary",
    "CREATE TABLE temp.x (a)": "temporary",
    "CREATE TEMP VIEW x AS SELECT 1": "temporary",
    "CREATE VIRTUAL TABLE x USING fts5(a)": "virtual tables",
    "CREATE VIRTUAL TABLE x USING rtree(a, b, c)": "virtual tables",
    "SELECT load_extension('x')": "native code",
    "SELECT fts3_tokenizer('simple')": "native code",
    "PRAGMA journal_mode = DELETE": "can be asked for",
    "PRAGMA writable_schema = ON": "not one of those",
    "PRAGMA user_version = 3": "can be asked for",
    "PRAGMA page_size = 512": "can be asked for",
    "PRAGMA synchronous = OFF": "not one of those",
    "PRAGMA max_page_count = 1000000": "not one of those",
    "PRAGMA temp_store_directory = '/tmp'": "not one of those",
    "PRAGMA mmap_size = 1000000": "not one of those",
    "PRAGMA hard_heap_limit = 0": "not one of those",
    "PRAGMA wal_checkpoint": "not one of those",
    "PRAGMA incremental_vacuum": "not one of those",
    "PRAGMA trusted_schema = ON": "not one of those",
}


def case_what_is_refused_is_refused_with_its_reason():
    connection = made(isolation_level=None)
    for sql, reason in REFUSED.items():
        error = raised(db.NotSupportedError, connection.execute, sql)
        assert reason in str(error), f"{sql}: {error}"
        assert error.code == "sql_refused", sql
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


def case_what_tools_ask_for_is_allowed():
    connection = made("CREATE TABLE a (id INTEGER PRIMARY KEY, b REFERENCES a (id))")
    connection.execute("CREATE INDEX i ON a (b)")
    for name in ("foreign_keys", "foreign_key_check", "foreign_key_list(a)", "table_info(a)",
                 "table_xinfo(a)", "index_list(a)", "index_info(i)", "read_uncommitted",
                 "legacy_alter_table", "database_list", "journal_mode", "user_version",
                 "integrity_check"):
        connection.execute(f"PRAGMA {name}").fetchall()
    assert connection.execute("SELECT name FROM pragma_table_info('a')").fetchall() == [
        ("id",), ("b",)]


def case_code_of_the_app_cannot_be_part_of_the_database():
    connection = db.connect()
    raised(db.NotSupportedError, connection.create_function, "f", 0, int)
    raised(db.NotSupportedError, connection.enable_load_extension, True)


def case_tables_views_and_triggers_change():
    connection = made(isolation_level=None)
    for sql in ("ALTER TABLE t ADD COLUMN more", "ALTER TABLE t RENAME COLUMN more TO less",
                "ALTER TABLE t RENAME TO u", "ALTER TABLE u DROP COLUMN less",
                "CREATE VIEW v AS SELECT name FROM u", "CREATE UNIQUE INDEX i ON u (name)",
                "CREATE TABLE w AS SELECT * FROM u", "ANALYZE", "REINDEX", "DROP VIEW v",
                "DROP INDEX i", "DROP TABLE w", "DROP TABLE u"):
        connection.execute(sql)


# --- quotas


def case_a_pattern_is_bounded():
    connection = db.connect()
    raised(db.OperationalError, connection.execute, "SELECT 'a' LIKE ?", ("%" * (1 << 20),))


def case_a_statement_may_not_run_for_ever():
    connection = made(isolation_level=None)
    sql = ("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
           "INSERT INTO t SELECT x, 'x' FROM r")
    error = raised(db.QuotaExceeded, connection.execute, sql)
    assert error.quota in ("query.statement", "query.bytes")
    assert error.used > error.limit
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def case_open_transactions_are_counted():
    made()
    connections = [db.connect(isolation_level=None) for _ in range(17)]
    for connection in connections[:16]:
        connection.execute("BEGIN")
    error = raised(db.QuotaExceeded, connections[16].execute, "BEGIN")
    assert (error.quota, error.limit, error.used) == ("query.transactions", 16, 17)
    connections[0].execute("ROLLBACK")
    connections[16].execute("BEGIN")
    for connection in connections:
        connection.close()


def case_a_result_is_bounded():
    error = raised(db.QuotaExceeded, db.connect().execute,
                   "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 50) "
                   "SELECT zeroblob(1000000) FROM r")
    assert (error.quota, error.limit) == ("query.result", 16 << 20)


# --- tables of keys


def case_a_table_keeps_values_by_key():
    orders = cloister.table("orders")
    assert (orders.get("a"), orders.get("a", b"-"), orders.delete("a")) == (None, b"-", False)
    orders.put("a", b"1")
    orders.put("a", b"2")
    assert orders.get("a") == b"2"
    orders.put("empty", b"")
    assert orders.get("empty") == b""
    assert orders.delete("a") is True
    assert orders.get("a") is None
    assert cloister.table("other").get("empty") is None


def case_ranges_are_in_order():
    table = query.table("t")
    assert list(table.range()) == []
    keys = ["a", "aa", "b", "B", "ä", "z", "€", "𝄞"]
    with table.batch() as batch:
        for key in keys:
            batch.put(key, key.encode())
    in_order = sorted(keys)
    assert [key for key, _ in table.range()] == in_order
    assert [key for key, _ in table.range(reverse=True)] == in_order[::-1]
    assert [key for key, _ in table.range("a", "b")] == ["a", "aa"]
    assert [key for key, _ in table.range("b", limit=2)] == ["b", "z"]
    assert [key for key, _ in table.range(limit=0)] == []


def case_long_ranges_come_in_pages():
    table = query.table("long")
    with table.batch() as batch:
        for number in range(1234):
            batch.put(f"{number:06}", b"x")
    assert [key for key, _ in table.range()] == [f"{number:06}" for number in range(1234)]
    assert len(list(table.range("000100", "001100", reverse=True))) == 1000


def case_a_batch_is_all_or_nothing():
    table = query.table("t")
    table.put("a", b"1")
    try:
        with table.batch() as batch:
            batch.put("b", b"2")
            batch.delete("a")
            raise KeyError
    except KeyError:
        pass
    assert list(table.range()) == [("a", b"1")]
    with table.batch() as batch:
        batch.put("b", b"2")
        batch.delete("a")
        batch.put("c", b"3")
    assert list(table.range()) == [("b", b"2"), ("c", b"3")]


def case_names_keys_and_values_of_tables_are_bounded():
    for name in ("", "1a", "a b", 'a"b', "x" * 49, None):
        raised(ValueError, query.table, name)
    table = query.table("x" * 48)
    for key in ("", "k" * 1025, "ä" * 513):
        raised(ValueError, table.put, key, b"1")
    table.put("k" * 1024, b"1")
    raised(TypeError, table.put, b"k", b"1")
    raised(TypeError, table.put, "k", "1")
    raised(ValueError, table.put, "k", bytes((8 << 20) + 1))
    table.put("k", bytes(8 << 20))
    assert len(table.get("k")) == 8 << 20


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}
