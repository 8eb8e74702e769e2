"""What the driver makes of statements and values for a server; no server is asked."""

import datetime
import decimal
import uuid

import pytest
from cloister import _sql_server as server

# Statement, parameters, and what the server gets.
NUMBERED = [
    ("SELECT ?, ?", [1, 2], "SELECT $1, $2"),
    ("SELECT ?2, ?1, ?2", [1, 2], "SELECT $2, $1, $2"),
    ("SELECT ?2, ?", [1, 2, 3], "SELECT $2, $3"),
    ("SELECT ?::text, a::int", [1], "SELECT $1::text, a::int"),
    ("SELECT a ?? 'b', ?", [1], "SELECT a ? 'b', $1"),
    ("SELECT 'it''s ?', \"?\", ?", [1], "SELECT 'it''s ?', \"?\", $1"),
    (r"SELECT E'\'?', e'?', ?", [1], r"SELECT E'\'?', e'?', $1"),
    (r"SELECT name'?', '\', ?", [1], r"SELECT name'?', '\', $1"),
    ("SELECT $$ ? $$, $a$ $$ ? $a$, ?", [1], "SELECT $$ ? $$, $a$ $$ ? $a$, $1"),
    ("SELECT -- ?\n ?", [1], "SELECT -- ?\n $1"),
    ("SELECT /* ? /* ? */ ? */ ?", [1], "SELECT /* ? /* ? */ ? */ $1"),
    ("SELECT a[1:2], x :: int", [], "SELECT a[1:2], x :: int"),
    ("SELECT $1", [1], "SELECT $1"),
    ("SELECT 'never closed ?", [], "SELECT 'never closed ?"),
    ("SELECT /* never closed ?", [], "SELECT /* never closed ?"),
    ("SELECT $a$ never closed ?", [], "SELECT $a$ never closed ?"),
]


@pytest.mark.parametrize("sql, parameters, wanted", NUMBERED)
def test_marks_become_numbers(sql, parameters, wanted):
    assert server.numbered(sql, False, parameters) == (wanted, parameters)


def test_names_become_numbers():
    values = {"a": 1, "b": 2, "unused": 3}
    assert server.numbered("SELECT :b, ':a', :a::int, x ? y, :b", False, values) == (
        "SELECT $1, ':a', $2::int, x ? y, $1", [2, 1])
    with pytest.raises(KeyError):
        server.numbered("SELECT :c", False, values)


def test_there_are_as_many_values_as_marks():
    for sql, values in (("SELECT ?", []), ("SELECT ?", [1, 2]), ("SELECT ?2", [1]),
                        ("SELECT 1", [1])):
        with pytest.raises(ValueError):
            server.numbered(sql, False, values)


def test_a_value_has_its_type():
    values = [True, decimal.Decimal("1.5"), datetime.date(2024, 2, 29), datetime.time(1, 2),
              datetime.datetime(2024, 2, 29, 1), datetime.timedelta(1, 2, 3), uuid.UUID(int=1),
              [1, None, 'a"\\'], "text", 1, None]
    adapted = [server.adapted(value) for value in values]
    text, sent = server.numbered(f"SELECT {', '.join('?' * len(values))}", False, adapted)
    assert text == (
        "SELECT CAST($1 AS boolean), CAST($2 AS numeric), CAST($3 AS date), CAST($4 AS time), "
        "CAST($5 AS timestamp), CAST($6 AS interval), CAST($7 AS uuid), $8, $9, $10, $11")
    assert sent == ["true", "1.5", "2024-02-29", "01:02:00", "2024-02-29 01:00:00",
                    "1 days 2 seconds 3 microseconds", "00000000-0000-0000-0000-000000000001",
                    r'{"1",NULL,"a\"\\"}', "text", 1, None]


def test_rows_that_disagree_have_no_type():
    sets = [[server.adapted(True), None], [1, server.adapted(True)]]
    assert server.numbered("INSERT INTO t VALUES (?, ?)", True, sets)[0] == (
        "INSERT INTO t VALUES ($1, CAST($2 AS boolean))")


def test_a_script_is_its_statements():
    script = """CREATE TABLE t (a text); -- a; b
        CREATE FUNCTION f() RETURNS int AS $$ BEGIN; RETURN 1; END $$ LANGUAGE plpgsql;
        /* ; */ ; INSERT INTO t VALUES (';'); """
    assert [text.split()[-1] for text in server.statements(script)] == [
        "text)", "plpgsql", "(';')"]


@pytest.mark.parametrize("declared, text, value", [
    ("date", "2024-02-29", datetime.date(2024, 2, 29)),
    ("date", "infinity", "infinity"),
    ("date", "0044-03-15 BC", "0044-03-15 BC"),
    ("time", "12:30:01.25", datetime.time(12, 30, 1, 250000)),
    ("timestamp", "2024-02-29 12:30:00", datetime.datetime(2024, 2, 29, 12, 30)),
    ("timestamptz", "2024-02-29 12:30:00+00",
     datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)),
    ("interval", "1 year 2 mons 3 days 04:05:06.5",
     datetime.timedelta(days=428, hours=4, minutes=5, seconds=6.5)),
    ("interval", "-1 days +00:00:01", datetime.timedelta(days=-1, seconds=1)),
    ("interval", "-00:00:00.000001", datetime.timedelta(microseconds=-1)),
    ("numeric", "1.50", decimal.Decimal("1.50")),
    ("uuid", "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
    ("bool", 1, True),
])
def test_what_comes_back_is_what_the_column_is(declared, text, value):
    (convert,) = server.converters_of([("a", declared)])
    assert convert(text) == value and type(convert(text)) is type(value)


@pytest.mark.parametrize("declared, text, value", [
    ("int[]", "{1,-2,NULL}", [1, -2, None]),
    ("int[]", "[0:1]={1,2}", [1, 2]),
    ("int[]", "{{1,2},{3,4}}", [[1, 2], [3, 4]]),
    ("real[]", "{0.5,Infinity}", [0.5, float("inf")]),
    ("bool[]", "{t,f}", [True, False]),
    ("bytes[]", r'{"\\x00ff"}', [b"\0\xff"]),
    ("text[]", r'{a,"b,\"\\",NULL,"NULL","",é}', ["a", 'b,"\\', None, "NULL", "", "é"]),
    ("numeric[]", "{1.50}", [decimal.Decimal("1.50")]),
    ("date[]", "{2024-02-29,infinity}", [datetime.date(2024, 2, 29), "infinity"]),
    ("text[]", "{}", []),
    ("text[]", "{never closed", "{never closed"),
    ("text[]", "no array", "no array"),
])
def test_an_array_is_a_list(declared, text, value):
    (convert,) = server.converters_of([("a", declared)])
    assert convert(text) == value


TAKES_NONE = "there is no parameter $1 (SQLSTATE 42P02)"


@pytest.mark.parametrize("sql, parameters, wanted", [
    ("ALTER TABLE t ADD c int DEFAULT ?", [5], "ALTER TABLE t ADD c int DEFAULT 5"),
    ("SELECT 5 -?", [-3], "SELECT 5 -(-3)"),
    ("SELECT ?, ?", ["it's", None], "SELECT 'it''s', NULL"),
    ("SELECT ?", ["a\\'; --"], r"SELECT E'a\\''; --'"),
    ("SELECT ?", [b"\0'"], r"SELECT CAST('\x0027' AS bytea)"),
    ("SELECT ?", [float("-inf")], "SELECT CAST('-inf' AS float8)"),
    ("SELECT a ?? ?, '?'", ["b"], "SELECT a ? 'b', '?'"),
    ("SELECT e?, :n", ["b"], "SELECT e 'b', :n"),
])
def test_a_value_is_written_out(sql, parameters, wanted):
    assert server.written_out(sql, False, parameters, TAKES_NONE) == (wanted, [])


def test_values_are_written_out_with_their_types():
    values = {"a": server.adapted(decimal.Decimal("1.5")), "b": "x" * 10000, "c": b"y" * 10000}
    text, left = server.written_out("SELECT :a, :b, :c, :b", False, values, TAKES_NONE)
    assert text == ("SELECT CAST('1.5' AS numeric), CAST($1 AS text), CAST($2 AS bytea), "
                    "CAST($3 AS text)")
    assert left == [values["b"], values["c"], values["b"]]
    sets = [{"a": "x", "b": 1}, {"a": None, "b": 2}]
    assert server.written_out("INSERT INTO t VALUES (concat(:a), :b)", True, sets, TAKES_NONE) == (
        "INSERT INTO t VALUES (concat(CAST($1 AS text)), $2)", [["x", 1], [None, 2]])


def test_other_failures_are_no_reason_to_write_out():
    for sql, parameters, message in (
            ("SELECT ?", [1], "division by zero (SQLSTATE 22012)"),
            ("SELECT ?", [1], f"{TAKES_NONE} and more"),
            ("SELECT $1", [1], TAKES_NONE), ("SELECT 1", [], TAKES_NONE)):
        assert server.written_out(sql, False, parameters, message) is None


def test_other_columns_are_left_alone():
    assert server.converters_of([("a", None), ("b", "jsonb")]) is None
