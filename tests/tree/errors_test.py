"""docs/errors.md has a section for every stable code, and for nothing else."""

import re

import source_tree as tree

DOCUMENT = "docs/errors.md"
_WORD = r'"([a-z]+(?:_[a-z]+)*)"'
# How the sources name a code.
_PATTERNS = [
    re.compile(rf"\bPROBLEM\(\w+, {_WORD}"),
    re.compile(rf"\bREPORT\({_WORD}"),
    re.compile(rf"\b[45]\d\d,\s*{_WORD}"),
    re.compile(rf"\.code\s*=\s*{_WORD}"),
    re.compile(rf"\bExitCode::k\w+,\s*{_WORD}"),
    re.compile(rf"\bFailureOf\([^;]*?,\s*{_WORD}"),
    re.compile(rf"\bProblem\(\s*{_WORD}"),
    re.compile(r"\bBadInput\(\s*'([a-z]+(?:_[a-z]+)*)'"),
    re.compile(rf"\bBadRequest\(\s*{_WORD}"),
    re.compile(rf"\bQueryErrorClass::k\w+,\s*{_WORD}"),
    re.compile(rf"\bClassOf\(rc\),\s*{_WORD}"),
    re.compile(rf"\bkLostCode = {_WORD}"),
]
_SECTION = re.compile(r"^### `([a-z_]+)`$", re.MULTILINE)


def codes_in_the_sources():
    found = {}
    for path in tree.code_files(".cc", ".h", ".def", ".py"):
        text = tree.text_of(path)
        for pattern in _PATTERNS:
            for code in pattern.findall(text):
                found.setdefault(code, str(path))
    return found


def test_every_code_has_a_section():
    documented = set(_SECTION.findall(tree.text_of(DOCUMENT)))
    found = codes_in_the_sources()
    missing = {code: path for code, path in found.items() if code not in documented}
    assert not missing


def test_every_section_is_of_a_code():
    unknown = set(_SECTION.findall(tree.text_of(DOCUMENT))) - set(codes_in_the_sources())
    assert not unknown


def test_sections_are_in_order_and_once():
    for part in tree.text_of(DOCUMENT).split("\n## ")[1:]:
        codes = _SECTION.findall(part)
        assert codes == sorted(set(codes))


def test_what_the_admin_api_answers_has_its_status_and_exit_code():
    problems = re.findall(
        r'^PROBLEM\(\w+, "(\w+)", (\d+), k(\w+)', tree.text_of("daemon/releases/problems.def"), re.M
    )
    assert problems
    exits = {"Failed": 1, "Usage": 2, "Refused": 3}
    sections = dict(re.findall(r"### `(\w+)`\n(.*?)(?=\n##|\Z)", tree.text_of(DOCUMENT), re.S))
    wrong = [
        f"({status}, {exits[kind]}): {code}"
        for code, status, kind in problems
        if not re.search(rf"\({status}\b[^)]*\b{exits[kind]}\)", sections[code])
    ]
    assert not wrong


def test_the_finder_finds_codes():
    found = codes_in_the_sources()
    # One of each form.
    for code in ("node_unreachable", "file_unreadable", "package_missing", "listen_failed"):
        assert code in found
