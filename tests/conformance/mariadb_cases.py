"""What an app's database does where it is MariaDB, beside query_cases.py."""

import datetime
import decimal
import uuid

from cloister import db
from expect import raised
from query_cases import made

UTC = datetime.timezone.utc
# A statement for each kind of rule, and what its refusal says.
REFUSED = {
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE t": "reads files",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t": "reads files",
    "LOAD XML INFILE '/etc/passwd' INTO TABLE t": "reads files",
    "SELECT * FROM t INTO OUTFILE '/tmp/x'": "writes files",
    "SELECT id INTO DUMPFILE '/tmp/x' FROM t": "writes files",
    "SELECT 1 INTO/**/OUTFILE '/tmp/x'": "writes files",
    "SELECT LOAD_FILE('/etc/passwd')": "reads files",
    "SELECT `load_file`('/etc/passwd')": "reads files",
    "/*! LOAD DATA INFILE '/etc/passwd' INTO TABLE t */": "hides",
    "SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */": "hides",
    "SELECT 1 /*M!100000 INTO OUTFILE '/tmp/x' */": "hides",
    "# a comment\nGRANT ALL ON *.* TO x": "nobody else",
    "-- a comment\n grant all on *.* to x": "nobody else",
    "REVOKE ALL ON *.* FROM x": "nobody else",
    "INSTALL SONAME 'ha_spider'": "native code",
    "UNINSTALL PLUGIN x": "native code",
    "USE mysql": "one database",
    "CREATE DATABASE other": "one database",
    "DROP DATABASE other": "one database",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')": "another database",
    "CREATE TABLE x (a int) ENGINE=FEDERATED CONNECTION='mysql://x/y/z'": "InnoDB",
    "CREATE TABLE x (a int) ENGINE=MyISAM": "InnoDB",
    "ALTER TABLE t ENGINE = 'CSV'": "InnoDB",
    "CREATE TABLE x (a int) DATA DIRECTORY='/tmp'": "directories",
    "ALTER TABLE t IMPORT TABLESPACE": "files of the server",
    "CREATE USER other": "one account",
    "ALTER USER CURRENT_USER IDENTIFIED BY 'x'": "one account",
    "DROP USER other": "one account",
    "CREATE ROLE other": "one account",
    "SET ROLE other": "connections are shared",
    "SET PASSWORD = PASSWORD('x')": "connections are shared",
    "SET sql_mode = ''": "connections are shared",
    "SET GLOBAL max_connections = 1": "connections are shared",
    "SET STATEMENT max_statement_time = 0 FOR SELECT 1": "connections are shared",
    "SELECT @x := 1": "connections are shared",
    "SELECT id INTO @x FROM t": "connections are shared",
    "SELECT @@datadir": "operator",
    "SELECT @@GLOBAL.hostname": "operator",
    "PREPARE s FROM 'DROP TABLE t'": "shared",
    "EXECUTE s": "shared",
    "EXECUTE IMMEDIATE 'DROP TABLE t'": "shared",
    "DEALLOCATE PREPARE s": "shared",
    "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'DROP TABLE t'; END": "nobody has looked at",
    "HANDLER t OPEN": "a cursor",
    "LOCK TABLES t WRITE": "FOR UPDATE",
    "UNLOCK TABLES": "FOR UPDATE",
    "SELECT GET_LOCK('x', 1)": "whole server",
    "SELECT IS_USED_LOCK('x')": "whole server",
    "CREATE VIEW v AS SELECT `get_lock`('x', 1)": "whole server",
    "XA START 'x'": "stay open",
    "COMMIT RELEASE": "stays open",
    "ROLLBACK AND CHAIN": "BEGIN",
    "CREATE TEMPORARY TABLE x (a int)": "temporary",
    "CREATE OR REPLACE TEMPORARY TABLE x (a int)": "temporary",
    "CREATE FUNCTION f() RETURNS int RETURN 1": "triggers only",
    "CREATE PROCEDURE p() SELECT 1": "triggers only",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1": "no statement of the app's",
    "CREATE DEFINER=root@localhost VIEW v AS SELECT 1": "one account",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET sort_buffer_size = 1": "columns of NEW",
    "CALL p()": "triggers only",
    "DO 1": "triggers only",
    "SELECT SLEEP(10)": "only waits",
    "SELECT BENCHMARK(1000000000, MD5('x'))": "server's time",
    "KILL 1": "the node's",
    "SHUTDOWN": "operator",
    "FLUSH TABLES": "operator",
    "RESET MASTER": "operator",
    "SHOW PROCESSLIST": "operator",
    "SHOW VARIABLES": "operator",
    "SHOW GRANTS": "operator",
    "SELECT * FROM information_schema.processlist": "own tables",
    "SELECT * FROM information_schema.global_variables": "own tables",
    "SELECT * FROM `information_schema`.`USER_PRIVILEGES`": "own tables",
    "ANALYZE UPDATE t SET id = 1": "EXPLAIN",
    "NONSENSE": "not one of those",
}


def case_what_is_refused_is_refused_with_its_reason():
    connection = made(isolation_level=None)
    for sql, reason in REFUSED.items():
        error = raised(db.NotSupportedError, connection.execute, sql)
        assert reason in str(error), f"{sql}: {error}"
        assert error.code == "sql_refused", sql
    assert connection.execute("SHOW TABLES").fetchall() == [("t",)]


def case_what_looks_like_it_is_allowed():
    connection = made(isolation_level=None)
    text = "/*! x */ INTO OUTFILE @x"
    assert connection.execute("SELECT ?, '/*! x */ INTO OUTFILE @x'", (text,)).fetchone() == (
        text, text)
    assert connection.execute("SELECT 'a\\b', 1 - -1 -- it's a comment").fetchone() == ("a\\b", 2)


def case_a_statement_is_one():
    connection = made(isolation_level=None)
    for sql in ("SELECT 1; SELECT 2", "SELECT 1; DROP TABLE t",
                "INSERT INTO t VALUES (1, 'a'); --\nDROP TABLE t"):
        error = raised(db.ProgrammingError, connection.execute, sql)
        assert error.code == "sql_several", error
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def case_types_come_back():
    connection = made("CREATE TABLE types (b boolean, n numeric(10, 3), d date, t time(6), "
                      "s datetime(6), i time(6), u char(36), j json, r double, x bit(10))")
    values = (True, decimal.Decimal("12.500"), datetime.date(2024, 2, 29),
              datetime.time(12, 30, 1, 250000), datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
              datetime.timedelta(days=-1, seconds=5, microseconds=7), uuid.UUID(int=7),
              '{"a": [1]}', 0.5, 513)
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO types VALUES ({marks})", values)
    row = connection.execute("SELECT * FROM types").fetchone()
    assert row == (*values[:6], str(values[6]), *values[7:]), row
    connection.execute("DELETE FROM types")
    connection.executemany(f"INSERT INTO types VALUES ({marks})", [values, (None,) * len(values)])
    assert connection.execute("SELECT * FROM types WHERE b IS NULL").fetchone() == (
        (None,) * len(values))
    # What a column does not say is what the value is.
    for value in values[1:6]:
        assert connection.execute("SELECT ?", (value,)).fetchone() == (value,), value
    for value in ("1E+3", "0.0001", "-0.50", "123456789012345678901234567890"):
        value = decimal.Decimal(value)
        assert connection.execute("SELECT ?", (value,)).fetchone() == (value,), value


def case_moments_are_in_utc():
    connection = db.connect(isolation_level=None)
    moment = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone(
        datetime.timedelta(hours=2)))
    assert connection.execute("SELECT ?", (moment,)).fetchone() == (
        datetime.datetime(2024, 2, 29, 10, 30),)
    now = connection.execute("SELECT now()").fetchone()[0].replace(tzinfo=UTC)
    assert abs(now - datetime.datetime.now(UTC)) < datetime.timedelta(minutes=5)


def case_numbers_are_as_large_as_they_are():
    connection = db.connect(isolation_level=None)
    connection.execute("CREATE TABLE n (a smallint, b int, c bigint unsigned, d double)")
    connection.executemany("INSERT INTO n VALUES (?, ?, ?, ?)",
                           [(1, 2, 3, 4), (5, 6, 1 << 40, 0.5), (None, None, None, None)])
    assert connection.execute("SELECT * FROM n ORDER BY b IS NULL, b").fetchall() == [
        (1, 2, 3, 4.0), (5, 6, 1 << 40, 0.5), (None, None, None, None)]
    assert connection.execute("SELECT CAST(18446744073709551615 AS UNSIGNED)").fetchone() == (
        18446744073709551615,)
    raised(db.DataError, connection.execute, "INSERT INTO n (a) VALUES (?)", (70000,))
    raised(db.DataError, connection.execute, "INSERT INTO n (a) VALUES ('x')")


def case_texts_are_compared_letter_by_letter():
    connection = made()
    assert connection.execute("SELECT 'a' = 'A', 'a' = 'a ', 'a' || 'b'").fetchone() == (0, 0, "ab")
    connection.executemany("INSERT INTO t (name) VALUES (?)", [("a",), ("B",), ("A",), ("a ",)])
    assert connection.execute("SELECT name FROM t ORDER BY name").fetchall() == [
        ("A",), ("B",), ("a",), ("a ",)]
    connection.rollback()


def case_returning_and_row_ids_are_told():
    connection = made()
    cursor = connection.execute("INSERT INTO t (name) VALUES ('a'), ('b') RETURNING id, name")
    assert (cursor.rowcount, cursor.fetchall()) == (2, [(1, "a"), (2, "b")])
    cursor = connection.execute("INSERT INTO t (name) VALUES ('c')")
    assert (cursor.lastrowid, cursor.rowcount) == (3, 1)
    # Rows that were found, whether they changed or not.
    assert connection.execute("UPDATE t SET name = 'c' WHERE id > 1").rowcount == 2
    connection.execute("INSERT INTO t VALUES (0, 'zero')")
    assert connection.execute("SELECT name FROM t WHERE id = 0").fetchone() == ("zero",)
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
    assert connection.in_transaction
    connection.commit()
    assert connection.execute("SELECT @@tx_isolation").fetchone() == ("READ-COMMITTED",)


def case_a_statement_that_fails_undoes_itself_only():
    connection = made()
    connection.execute("INSERT INTO t VALUES (1, 'a')")
    raised(db.IntegrityError, connection.executemany, "INSERT INTO t VALUES (?, 'b')",
           [(2,), (3,), (1,)])
    raised(db.IntegrityError, connection.execute, "INSERT INTO t VALUES (4, 'c'), (1, 'c')")
    assert connection.in_transaction
    connection.commit()
    assert connection.execute("SELECT id FROM t").fetchall() == [(1,)]


def case_what_defines_a_table_ends_the_transaction():
    connection = made()
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    connection.execute("CREATE TABLE u (a int)")
    assert not connection.in_transaction
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def case_tables_views_and_triggers_change():
    connection = made(isolation_level=None)
    for sql in ("ALTER TABLE t ADD COLUMN more text", "ALTER TABLE t RENAME COLUMN more TO less",
                "ALTER TABLE t RENAME TO u", "ALTER TABLE u DROP COLUMN less",
                "CREATE VIEW v AS SELECT name FROM u", "CREATE UNIQUE INDEX i ON u (name(20))",
                "CREATE TABLE w AS SELECT * FROM u", "CREATE OR REPLACE VIEW v AS SELECT 1",
                "CREATE TRIGGER g BEFORE INSERT ON u FOR EACH ROW SET NEW.name = upper(NEW.name)",
                "CREATE SEQUENCE s", "SELECT nextval(s)", "DROP SEQUENCE s", "DROP TRIGGER g",
                "ANALYZE TABLE u", "OPTIMIZE TABLE u", "DROP VIEW v", "DROP INDEX i ON u",
                "TRUNCATE w", "RENAME TABLE w TO x", "DROP TABLE x", "DROP TABLE u"):
        connection.execute(sql).fetchall()


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}
