"""docs/operating/settings.md has every key of config/schema.def, with what the node says of it."""

import re

import source_tree as tree

_ROW = re.compile(
    r"^(SECTION|SETTING|QUOTA)\((\w+),\s*(.*?)\)\n(?=\n|SECTION|SETTING|QUOTA|#|$)",
    re.MULTILINE | re.DOTALL,
)


def words(text):
    """The words of a sentence that stands in several literals."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)).replace('\\"', '"')


def lines_of_the_schema():
    lines = []
    for kind, section, rest in _ROW.findall(tree.text_of("config/schema.def")):
        if kind == "SECTION":
            lines += [f"## [{section}]", words(rest)]
            continue
        mark = ", *quota*" if kind == "QUOTA" else ""
        key = rest.split(",")[0].strip()
        lines.append(f"| `{key}`{mark} | {words(rest[rest.index(chr(34)) :])} |")
    return lines


def lines_of_the_page():
    text = tree.text_of("docs/operating/settings.md")
    body = text[text.index("\n## ") :].splitlines()
    return [line for line in body if line and line not in ("| key | is |", "|---|---|")]


def test_the_page_has_the_keys_of_the_node_in_their_order():
    assert lines_of_the_page() == lines_of_the_schema()


def test_the_finder_finds_all_of_the_schema():
    schema = tree.text_of("config/schema.def")
    keys = re.findall(r"^(?:SETTING|QUOTA)\(", schema, re.MULTILINE)
    assert len([line for line in lines_of_the_schema() if line.startswith("| `")]) == len(keys) > 50
