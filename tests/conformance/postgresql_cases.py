"""What an app's database does where it is PostgreSQL, beside query_cases.py."""

import datetime
import decimal
import uuid

from cloister import db
from expect import raised
from query_cases import made

UTC = datetime.timezone.utc
# A statement for each rule of words, and what its refusal says.
REFUSED = {
    "COPY t TO STDOUT": "files or the connection",
    "COPY t FROM '/etc/passwd'": "files or the connection",
    "COPY t TO PROGRAM 'true'": "files or the connection",
    "/* a /* nested */ comment */ COPY t TO STDOUT": "files or the connection",
    "-- a comment\n copy t TO STDOUT": "files or the connection",
    "LOAD 'auto_explain'": "native code",
    "CREATE EXTENSION dblink": "native code",
    "CREATE LANGUAGE plpython3u": "native code",
    "CREATE TABLESPACE x LOCATION '/tmp'": "directory of the server",
    "CREATE DATABASE other": "one database",
    "ALTER DATABASE postgres SET x = 1": "one database",
    "DROP DATABASE postgres": "one database",
    "CREATE SCHEMA other": "one schema",
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw": "another database",
    "CREATE FOREIGN TABLE x (a int) SERVER s": "another database",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p": "another database",
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()": "every statement",
    "ALTER SYSTEM SET fsync = off": "the server's settings",
    "CHECKPOINT": "the server's disk",
    "CREATE ROLE other": "one role",
    "CREATE USER other": "one role",
    "ALTER ROLE postgres LOGIN": "one role",
    "ALTER USER CURRENT_USER PASSWORD 'x'": "one role",
    "DROP ROLE postgres": "one role",
    "SET ROLE postgres": "one role",
    "SET SESSION AUTHORIZATION postgres": "one role",
    "SET LOCAL ROLE postgres": "one role",
    "RESET ROLE": "one role",
    "GRANT ALL ON t TO PUBLIC": "nobody else",
    "REVOKE ALL ON t FROM PUBLIC": "nobody else",
    "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC": "nobody else",
    "SET statement_timeout = 0": "SET LOCAL",
    "RESET ALL": "shared",
    "DISCARD ALL": "shared",
    "PREPARE p AS SELECT 1": "shared",
    "EXECUTE p": "shared",
    "DEALLOCATE ALL": "shared",
    "PREPARE TRANSACTION 'x'": "stay open",
    "COMMIT PREPARED 'x'": "stay open",
    "DECLARE c CURSOR FOR SELECT 1": "a cursor",
    "FETCH ALL FROM c": "a cursor",
    "LISTEN x": "nobody would hear",
    "NOTIFY x": "nobody would hear",
    "CREATE TEMP TABLE x (a int)": "temporary",
    "CREATE TEMPORARY VIEW x AS SELECT 1": "temporary",
    "CREATE OR REPLACE TEMP VIEW x AS SELECT 1": "temporary",
    "CREATE UNLOGGED TABLE x (a int)": "after a crash",
    "SECURITY LABEL ON TABLE t IS 'x'": "operator",
    "NONSENSE": "not one of those",
}
# What no rule of words can see, and the rights of the role refuse.
FORBIDDEN = [
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_database",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_locks",
    "SELECT pg_reload_conf()",
    "SELECT pg_terminate_backend(1)",
    "CREATE TABLE pg_catalog.x (a int)",
    "SELECT a INTO TEMP TABLE x FROM (SELECT 1 AS a) y",
]


def case_what_is_refused_is_refused_with_its_reason():
    connection = made(isolation_level=None)
    for sql, reason in REFUSED.items():
        error = raised(db.NotSupportedError, connection.execute, sql)
        assert reason in str(error), f"{sql}: {error}"
        assert error.code == "sql_refused", sql


def case_what_the_rights_refuse_is_refused():
    connection = made(isolation_level=None)
    for sql in FORBIDDEN:
        try:
            connection.execute(sql)
        except db.NotSupportedError as error:
            assert error.code == "sql_refused", sql
        except db.OperationalError as error:
            # pg_terminate_backend looks for the process first.
            assert "pg_terminate_backend" in sql, (sql, error)
        else:
            assert "pg_terminate_backend" in sql, sql


def case_a_statement_is_one():
    connection = made(isolation_level=None)
    for sql in ("SELECT 1; SELECT 2", "SELECT 1; COPY t TO STDOUT", "INSERT INTO t VALUES (1); --"
                "\nDROP TABLE t"):
        error = raised(db.ProgrammingError, connection.execute, sql)
        assert error.code == "sql_several", error
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def case_types_come_back():
    connection = made("CREATE TABLE types (b boolean, n numeric(10, 3), d date, t time, "
                      "s timestamp, z timestamptz, i interval, u uuid, j jsonb, r real, a int[])")
    values = (True, decimal.Decimal("12.500"), datetime.date(2024, 2, 29),
              datetime.time(12, 30, 1, 250000), datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
              datetime.datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
              datetime.timedelta(days=-1, seconds=5, microseconds=7), uuid.UUID(int=7),
              '{"a": [1]}', 0.5, [1, 2])
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO types VALUES ({marks})", values)
    row = connection.execute("SELECT * FROM types").fetchone()
    assert row == values, row
    assert type(row[0]) is bool
    connection.execute("DELETE FROM types")
    connection.executemany(f"INSERT INTO types VALUES ({marks})", [values, (None,) * len(values)])
    assert connection.execute("SELECT * FROM types WHERE b IS NULL").fetchone() == (
        (None,) * len(values))
    # What a column does not say is what the value is.
    for value in values[:8]:
        assert connection.execute("SELECT ?", (value,)).fetchone() == (value,), value
    assert connection.execute("SELECT '-infinity'::date").fetchone() == ("-infinity",)


def case_arrays_are_lists():
    connection = db.connect(isolation_level=None)
    connection.execute("CREATE TABLE arrays (b bool[], n numeric[], t text[], v varchar(5)[], "
                       "d date[], u uuid[], y bytea[], r float8[], i bigint[])")
    values = ([True, None], [decimal.Decimal("1.50")], ["a,b", '"\\{', "", "NULL", None, "ü"],
              ["x"], [datetime.date(2024, 2, 29)], [uuid.UUID(int=7)], [b"\0\xff"], [0.5],
              [[1, 2], [3, 4]])
    connection.execute(f"INSERT INTO arrays VALUES ({', '.join('?' * 9)})", values)
    assert connection.execute("SELECT * FROM arrays").fetchone() == values
    odd = "SELECT '{}'::int[], '[0:1]={1,2}'::int[], NULL::text[]"
    assert connection.execute(odd).fetchone() == ([], [1, 2], None)
    # Of other types they stay text.
    assert connection.execute("SELECT ARRAY['{\"a\": 1}'::jsonb]").fetchone() == (
        '{"{\\"a\\": 1}"}',)


def case_a_value_may_stand_where_the_server_takes_no_parameter():
    connection = made(isolation_level=None)
    values = [7, -7, "it's \\ 100 %", None, decimal.Decimal("1.5"), True, b"\0'",
              datetime.date(2024, 2, 29)]
    kinds = ["int", "int", "text", "text", "numeric", "boolean", "bytea", "date"]
    for index, (kind, value) in enumerate(zip(kinds, values)):
        connection.execute(f"ALTER TABLE t ADD COLUMN c{index} {kind} DEFAULT ?", (value,))
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    names = ", ".join(f"c{index}" for index in range(len(values)))
    assert connection.execute(f"SELECT {names} FROM t").fetchone() == tuple(values)


def case_a_value_may_stand_where_the_server_cannot_tell_its_type():
    connection = made()
    connection.execute("INSERT INTO t (name) VALUES (concat(?, ?))", ("a", "b"))
    assert connection.in_transaction
    connection.execute("UPDATE t SET name = concat(name, :more, :more)", {"more": "'x\\"})
    assert connection.execute("SELECT name FROM t").fetchall() == [("ab'x\\'x\\",)]
    assert connection.execute("SELECT count(*) FROM t WHERE ? IS NULL OR id = ?1",
                              (None,)).fetchone() == (1,)
    assert connection.execute("SELECT 5 -?, concat(?, 1), ? || ''",
                              (-3, "x" * 10000, "y")).fetchone() == (8, "x" * 10000 + "1", "y")
    connection.executemany("INSERT INTO t (name) VALUES (concat(?, ?))", [("c", "d"), ("e", None)])
    connection.commit()
    assert connection.execute("SELECT name FROM t ORDER BY id").fetchall()[1:] == [("cd",), ("e",)]
    raised(db.ProgrammingError, connection.execute, "SELECT concat($1, $2)", ("a", "b"))


def case_numbers_are_as_large_as_they_are():
    connection = db.connect(isolation_level=None)
    connection.execute("CREATE TABLE n (a smallint, b int, c bigint, d double precision)")
    connection.executemany("INSERT INTO n VALUES (?, ?, ?, ?)",
                           [(1, 2, 3, 4), (5, 6, 1 << 40, 0.5), (None, None, None, None)])
    assert connection.execute("SELECT * FROM n ORDER BY a").fetchall() == [
        (1, 2, 3, 4.0), (5, 6, 1 << 40, 0.5), (None, None, None, None)]
    raised(db.DataError, connection.execute, "INSERT INTO n (a) VALUES (?)", (70000,))


def case_a_text_has_no_null_character():
    raised(db.DataError, db.connect().execute, "SELECT ?", ("a\0b",))


def case_returning_tells_the_row():
    connection = made()
    cursor = connection.execute("INSERT INTO t (name) VALUES ('a') RETURNING id, name")
    assert (cursor.lastrowid, cursor.fetchall()) == (1, [(1, "a")])
    connection.rollback()


def case_what_locks_rows_begins_a_transaction():
    connection = made()
    connection.execute("SELECT * FROM t FOR UPDATE").fetchall()
    assert connection.in_transaction
    connection.rollback()
    connection.execute("SELECT * FROM t").fetchall()
    assert not connection.in_transaction
    connection.execute("SAVEPOINT a")
    assert connection.in_transaction
    connection.rollback()


def case_a_transaction_may_be_serializable():
    connection = made(isolation_level="EXCLUSIVE")
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    assert connection.execute("SHOW transaction_isolation").fetchone() == ("serializable",)
    connection.rollback()
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    connection.execute("SET LOCAL work_mem = '1MB'")
    assert connection.execute("SHOW work_mem").fetchone() == ("1MB",)
    connection.commit()
    assert connection.execute("SHOW work_mem").fetchone() != ("1MB",)


def case_a_constraint_that_is_looked_at_last_undoes_all():
    connection = made("CREATE TABLE a (id int PRIMARY KEY)")
    connection.execute("CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
    connection.execute("INSERT INTO b VALUES (1)")
    raised(db.IntegrityError, connection.commit)
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM b").fetchone() == (0,)


def case_tables_views_and_functions_change():
    connection = made(isolation_level=None)
    for sql in ("ALTER TABLE t ADD COLUMN more text", "ALTER TABLE t RENAME COLUMN more TO less",
                "ALTER TABLE t RENAME TO u", "ALTER TABLE u DROP COLUMN less",
                "CREATE VIEW v AS SELECT name FROM u", "CREATE UNIQUE INDEX i ON u (name)",
                "CREATE INDEX CONCURRENTLY j ON u (name)", "CREATE TABLE w AS SELECT * FROM u",
                "CREATE MATERIALIZED VIEW m AS SELECT * FROM u", "REFRESH MATERIALIZED VIEW m",
                "CREATE SEQUENCE s", "SELECT nextval('s')", "CREATE TYPE e AS ENUM ('a')",
                "CREATE OR REPLACE FUNCTION g(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1'",
                "SELECT g(1)", "DO $$ BEGIN PERFORM g(1); END $$", "COMMENT ON TABLE u IS 'x'",
                "ANALYZE", "VACUUM u", "REINDEX TABLE u", "DROP FUNCTION g(int)", "DROP TYPE e",
                "DROP SEQUENCE s", "DROP MATERIALIZED VIEW m", "DROP VIEW v", "DROP INDEX i",
                "TRUNCATE w", "DROP TABLE w", "DROP TABLE u"):
        connection.execute(sql)


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}
