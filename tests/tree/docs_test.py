"""Documents are held to the tree: what they name is there."""

import itertools
import re

import pytest
import source_tree as tree

DOCUMENTS = [str(path) for path in tree.files(".md")]
EXPECTED = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/ARCHITECTURE.md",
    "docs/STYLE.md",
    "docs/request.md",
    "docs/deploy.md",
    "docs/protocol.md",
    "docs/image.md",
    "docs/apps/config.md",
    "docs/apps/logging.md",
    "docs/threats.md",
    "docs/errors.md",
    "docs/quotas.md",
    "docs/operating/backup.md",
    "docs/operating/node.md",
    "docs/operating/settings.md",
    "docs/operating/cache.md",
    "docs/operating/databases.md",
    "docs/operating/objects.md",
    "docs/apps/entry-points.md",
    "docs/apps/cache.md",
    "docs/apps/persistence.md",
    "docs/apps/query.md",
    "docs/apps/moving-flask.md",
    "docs/apps/moving-django.md",
    "docs/tutorial.md",
    "docs/examples/README.md",
    "docs/adr/0001-processes.md",
    "docs/adr/0002-wire.md",
    "docs/adr/0003-no-coroutines.md",
    "docs/adr/0004-errors.md",
    "docs/adr/0005-storage.md",
    "sandbox/README.md",
]
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(
    r"(?:\./)?((?:apis|sandbox|config|daemon|tests|packaging|docs|\.ci|\.cmake|\.githooks)"
    r"/[\w.{},*/+-]*)"
)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def expand(text):
    """`a.{h,cc}` to `a.h` and `a.cc`."""
    parts = [part.split(",") for part in re.split(r"[{}]", text)]
    choices = [part if index % 2 else [",".join(part)] for index, part in enumerate(parts)]
    return ["".join(combination) for combination in itertools.product(*choices)]


def exists(name):
    """Whether a file, a folder, a pair without its suffix, or a match of a pattern is there."""
    name = name.rstrip("/.")
    if "*" in name:
        return any(tree.ROOT.glob(name))
    path = tree.ROOT / name
    return path.exists() or any(path.parent.glob(path.name + ".*"))


def named_paths(text):
    for code in _CODE.findall(text):
        words = code.split()
        match = _PATH.fullmatch(words[0].rstrip(",;:")) if words else None
        if match:
            yield from expand(match[1])


@pytest.mark.parametrize("document", EXPECTED)
def test_the_document_is_there(document):
    assert tree.text_of(document).startswith("# ")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_only_files_that_exist(document):
    missing = [name for name in named_paths(tree.text_of(document)) if not exists(name)]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (tree.ROOT / document).parent
    links = [link for link in _LINK.findall(tree.text_of(document)) if ":" not in link]
    assert [link for link in links if not (folder / link).exists()] == []


def test_the_finder_of_paths_finds_them():
    assert list(named_paths("see `daemon/http/parser.{h,cc}`, `./tests/run unit` and `x/y`")) == [
        "daemon/http/parser.h",
        "daemon/http/parser.cc",
        "tests/run",
    ]
    assert (
        exists("tests/tree/docs_test") and exists("tests/tree/") and exists("tests/*/docs_test.py")
    )
    assert not exists("tests/tree/no_such_file")


def test_the_changelog_has_an_unreleased_section_with_entries():
    unreleased = re.search(
        r"^## \[?Unreleased\]?\n(.*?)(?=^## |\Z)", tree.text_of("CHANGELOG.md"), re.M | re.S
    )
    assert unreleased and re.search(r"^- ", unreleased[1], re.M)


def test_the_readme_has_the_two_commands():
    readme = tree.text_of("README.md")
    assert "./packaging/quickstart" in readme and "./tests/run" in readme


def error_codes():
    """Every code that the admin API, a report on a release or the command line can say."""
    codes = re.findall(
        r'^PROBLEM\(\w+, "(\w+)"', tree.text_of("daemon/releases/problems.def"), re.M
    )
    codes += re.findall(r'^REPORT\("(\w+)"', tree.text_of("daemon/releases/reports.def"), re.M)
    for path in tree.files(".cc", below=("daemon/cli",)):
        codes += re.findall(r'Failure\{\s*ExitCode::\w+,\s*"(\w+)"', tree.text_of(path))
    return sorted(set(codes))


@pytest.mark.parametrize("code", error_codes())
def test_an_error_code_has_its_section(code):
    assert re.search(rf"^#+ `?{code}`?$", tree.text_of("docs/errors.md"), re.M)


SETS = {"build", "run", "test", "check", "bench", "fuzz", "fresh"}


def test_packages_are_named_once_a_set():
    seen = []
    for line in tree.text_of("packaging/dependencies").splitlines():
        words = line.split("#")[0].split()
        if words:
            assert set(words[:-1]) <= SETS, line
            seen += [(word, words[-1]) for word in words[:-1]]
    assert len(seen) == len(set(seen))
