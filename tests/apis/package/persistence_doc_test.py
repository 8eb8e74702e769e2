"""The examples of docs/apps/persistence.md do what the page says."""

import doctest
import pathlib
import re

import cloister

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/apps/persistence.md"


def test_the_examples_are_as_the_page_says():
    text = PAGE.read_text()
    examples = re.findall(r"```python\n(>>>.*?)```", text, re.DOTALL)
    assert len(examples) >= 10 and len(examples) == text.count("```python\n>>>")
    names = {"persistence": cloister.persistence, "cloister": cloister}
    source = "\n".join(examples)
    test = doctest.DocTestParser().get_doctest(source, names, "persistence.md", str(PAGE), 0)
    said = []
    results = doctest.DocTestRunner().run(test, out=said.append)
    assert results.failed == 0, "".join(said)
    assert results.attempted > 30


def test_every_call_has_an_example():
    text = PAGE.read_text()
    for name in cloister.persistence.__all__:
        if name[0].islower():
            assert re.search(rf"\bpersistence\.{name}\(", text), name
        elif name not in ("Data", "NamePage", "ObjectPage", "Reader", "Stat", "Usage"):
            assert name in text, name
