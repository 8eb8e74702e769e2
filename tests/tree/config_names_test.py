"""`cloister dev` takes the same names as keys of config as a node."""

import re

import source_tree as tree

NODE = tree.text_of("config/config_rules.cc")
DEVELOPER = tree.text_of("apis/package/cloister/dev/project.py")


def words_of(pattern, text):
    """The quoted words in what the group of `pattern` finds."""
    return sorted(re.findall(r"[\"'](\w+)[\"']", re.search(pattern, text, re.DOTALL)[1]))


def test_the_reserved_names_are_the_same():
    names = words_of(r"kReserved =\s+std::to_array<[^>]+>\(\{(.*?)\}\)", NODE)
    assert "PATH" in names
    assert words_of(r"\n_RESERVED = \((.*?)\)\n", DEVELOPER) == names


def test_what_reserved_names_begin_with_is_the_same():
    begins = words_of(r"kReservedBegins =\s+std::to_array<[^>]+>\(\{(.*?)\}\)", NODE)
    assert "PYTHON" in begins
    assert words_of(r"_RESERVED_BEGINS = \((.*?)\)\n", DEVELOPER) == begins


def test_a_name_may_be_as_long():
    header = tree.text_of("config/config_rules.h")
    most = int(re.search(r"kConfigNameMax = (\d+);", header)[1])
    name = re.compile(re.search(r"\n_NAME = re\.compile\(r'(.*?)'\)\n", DEVELOPER)[1])
    assert name.match("_" * most)
    assert not name.match("_" * (most + 1))
