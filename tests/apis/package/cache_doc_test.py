"""The examples of docs/apps/cache.md do what the page says."""

import doctest
import pathlib
import re

import cloister

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/apps/cache.md"


def test_the_examples_are_as_the_page_says():
    text = PAGE.read_text()
    examples = re.findall(r"```python\n(>>>.*?)```", text, re.DOTALL)
    assert len(examples) >= 13 and len(examples) == text.count("```python\n>>>")
    names = {"cache": cloister.cache, "cloister": cloister}
    source = "\n".join(examples)
    test = doctest.DocTestParser().get_doctest(source, names, "cache.md", str(PAGE), 0)
    said = []
    results = doctest.DocTestRunner().run(test, out=said.append)
    assert results.failed == 0, "".join(said)
    assert results.attempted > 40


def test_every_call_has_an_example():
    text = PAGE.read_text()
    for name in cloister.cache.__all__:
        if name not in ("Key", "Ttl", "json", "memoize"):
            assert re.search(rf"\bcache\.{name}\(", text), name
