"""What the driver makes of statements and values for MariaDB; no server is asked."""

import datetime
import decimal
import uuid

import pytest
from cloister import _sql_mariadb as server

# Statement, parameters, and what the server gets of both.
NUMBERED = [
    ("SELECT ?, ?", [1, 2], "SELECT ?, ?", [1, 2]),
    ("SELECT ?2, ?1, ?2", [1, 2], "SELECT ?, ?, ?", [2, 1, 2]),
    ("SELECT 'it''s ?', \"?\", `?`, ?", [1], "SELECT 'it''s ?', \"?\", `?`, ?", [1]),
    (r"SELECT '\', ?", [1], r"SELECT '\', ?", [1]),
    ("SELECT -- ?\n ? # ?", [1], "SELECT -- ?\n ? # ?", [1]),
    ("SELECT 1--?", [1], "SELECT 1--?", [1]),
    ("SELECT /* ? /* ? */ ?", [1], "SELECT /* ? /* ? */ ?", [1]),
    ("SELECT 'never closed ?", [], "SELECT 'never closed ?", []),
]


@pytest.mark.parametrize("sql, parameters, text, values", NUMBERED)
def test_each_mark_has_a_value(sql, parameters, text, values):
    assert server.numbered(sql, False, parameters) == (text, values)


def test_names_become_places():
    values = {"a": 1, "b": 2, "unused": 3}
    assert server.numbered("SELECT :b, ':a', :a, :b", False, values) == (
        "SELECT ?, ':a', ?, ?", [2, 1, 2])
    assert server.numbered("INSERT INTO t VALUES (:a)", True, [{"a": 1}, {"a": 2}]) == (
        "INSERT INTO t VALUES (?)", [[1], [2]])
    with pytest.raises(KeyError):
        server.numbered("SELECT :c", False, values)


def test_there_are_as_many_values_as_marks():
    for sql, values in (("SELECT ?", []), ("SELECT ?", [1, 2]), ("SELECT ?2", [1]),
                        ("SELECT 1", [1])):
        with pytest.raises(ValueError):
            server.numbered(sql, False, values)


def test_a_value_has_its_type():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    values = [True, decimal.Decimal("-1.50"), decimal.Decimal("1E+3"), datetime.date(2024, 2, 29),
              datetime.time(1, 2), datetime.datetime(2024, 2, 29, 1, tzinfo=zone),
              datetime.timedelta(-1, 2, 3), uuid.UUID(int=1), decimal.Decimal("Infinity"), "text"]
    adapted = [server.adapted(value) for value in values]
    text, sent = server.numbered(f"SELECT {', '.join('?' * len(values))}", False, adapted)
    assert text == (
        "SELECT ?, CAST(? AS DECIMAL(3, 2)), CAST(? AS DECIMAL(4, 0)), CAST(? AS DATE), "
        "CAST(? AS TIME(6)), CAST(? AS DATETIME(6)), CAST(? AS TIME(6)), ?, ?, ?")
    assert sent == [1, "-1.50", "1000", "2024-02-29", "01:02:00", "2024-02-28 23:00:00",
                    "-23:59:57.999997", str(values[7]), "Infinity", "text"]


def test_a_place_of_several_types_has_none():
    sets = [[server.adapted(decimal.Decimal("1.5"))], [None], [server.adapted(decimal.Decimal(10))]]
    assert server.numbered("SELECT ?", True, sets)[0] == "SELECT ?"


def test_a_script_has_statements_and_a_trigger_is_one():
    trigger = ("-- why; because\nCREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN\n"
               "  IF NEW.a = CASE WHEN 1 THEN 2 END THEN SET NEW.a = 3; END IF;\n"
               "  BEGIN SET NEW.b = 1; END;\nEND")
    script = f"SELECT 1; # a; b\nSELECT ';';;{trigger};SELECT 2 AS `end`; /* only a comment */;"
    assert [each.strip() for each in server.statements(script)] == [
        "SELECT 1", "# a; b\nSELECT ';'", trigger, "SELECT 2 AS `end`"]
    assert list(server.statements("CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW BEGIN; ")) == [
        "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW BEGIN; "]
    assert list(server.statements("BEGIN; SELECT 1; COMMIT")) == ["BEGIN", " SELECT 1", " COMMIT"]


def test_what_comes_back_is_what_its_column_is():
    declared = ("clock", "date", "int", "numeric", "timestamp", "")
    converters = server.converters_of([("", each) for each in declared])
    texts = ("12:30:01.25", "2024-02-29", "18446744073709551615", "1.50", "2024-02-29 12:30:01.5")
    assert [convert(text) for convert, text in zip(converters, texts)] == [
        datetime.time(12, 30, 1, 250000), datetime.date(2024, 2, 29), (1 << 64) - 1,
        decimal.Decimal("1.50"), datetime.datetime(2024, 2, 29, 12, 30, 1, 500000)]
    clock = converters[0]
    assert clock("-25:00:00") == datetime.timedelta(hours=-25)
    assert clock("838:59:59") == datetime.timedelta(hours=838, minutes=59, seconds=59)
    assert clock("nonsense") == "nonsense"
    assert converters[1]("0000-00-00") == "0000-00-00"
    assert server.converters_of([("a", None)]) is None
