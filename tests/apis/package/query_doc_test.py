"""The examples of docs/apps/query.md do what the page says."""

import doctest
import pathlib
import re

import cloister
from cloister import db, query

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/apps/query.md"
RULES = PAGE.parents[2] / "sandbox/query/sql_rules.def"


def test_the_examples_are_as_the_page_says():
    text = PAGE.read_text()
    examples = re.findall(r"```python\n(>>>.*?)```", text, re.DOTALL)
    assert len(examples) >= 6 and len(examples) == text.count("```python\n>>>")
    names = {"db": db, "cloister": cloister}
    source = "\n".join(examples)
    test = doctest.DocTestParser().get_doctest(source, names, "query.md", str(PAGE), 0)
    said = []
    results = doctest.DocTestRunner().run(test, out=said.append)
    assert results.failed == 0, "".join(said)
    assert results.attempted > 30


def test_every_call_of_a_table_has_an_example():
    text = PAGE.read_text()
    for name in vars(query.Table):
        if not name.startswith("_") and name != "name":
            assert re.search(rf"\bstock\.{name}\(", text), name


def test_every_pragma_that_is_allowed_is_on_the_page():
    text = PAGE.read_text()
    pragmas = re.findall(r"^PRAGMA\((\w+), ", RULES.read_text(), re.MULTILINE)
    assert len(pragmas) > 20
    assert [name for name in pragmas if f"`{name}`" not in text] == []


def test_the_stand_in_has_the_rules_of_a_node():
    from cloister._local import query as stand_in

    text = RULES.read_text()
    uses = {
        use: set(re.findall(rf"^PRAGMA\((\w+), {use}\)", text, re.MULTILINE))
        for use in ("kSet", "kArgument", "kRead")
    }
    assert uses == {
        "kSet": stand_in._SET,
        "kArgument": stand_in._ARGUMENT,
        "kRead": stand_in._READ,
    }
    functions = dict(re.findall(r'^REFUSE_FUNCTION\((\w+), "(.*)"\)', text, re.MULTILINE))
    assert functions == stand_in._FUNCTIONS
    import sqlite3

    allowed = re.findall(r"^ALLOW\((\w+)\)", text, re.MULTILINE)
    assert {getattr(sqlite3, f"SQLITE_{name}") for name in allowed} == stand_in._ALLOWED
    refused = dict(re.findall(r'^REFUSE\((\w+), "(.*)"\)', text, re.MULTILINE))
    assert {getattr(sqlite3, f"SQLITE_{name}"): why for name, why in refused.items()} == (
        stand_in._REFUSED
    )
