"""What every file of the repository keeps to."""

import ast
import collections
import itertools
import re
import stat

import pytest
import source_tree as tree

LINES_MAX = 600
COLUMNS_MAX = 100
# Long because there are many rows.
TABLES = {"tests/sandbox/worker/probes.py"}
SOURCE_FOLDERS = sorted({str(path.parent) for path in tree.code_files(".cc")})
# Folders that only put together what others test; tests/system runs them.
TESTED_BY_SYSTEM = {"daemon/node"}


def test_headers_open_with_pragma_once_and_their_manual():
    wrong = [
        str(path)
        for path in tree.files(".h", below=(*tree.CODE_FOLDERS, "tests"))
        if not re.match(r"#pragma once\n\n//", tree.text_of(path))
    ]
    assert not wrong


def test_files_are_short():
    long = {}
    for path in tree.files(".h", ".cc", ".py", ".cmake", ".txt", ""):
        lines = tree.text_of(path).count("\n")
        if lines > LINES_MAX and path.name != "LICENSE" and str(path) not in TABLES:
            long[str(path)] = lines
    assert not long


def test_python_lines_fit():
    wrong = [
        f"{path}:{number}"
        for path in tree.files()
        if path.suffix == ".py" or tree.text_of(path).startswith("#!/usr/bin/python3.11\n")
        for number, line in enumerate(tree.text_of(path).splitlines(), 1)
        if len(line) > COLUMNS_MAX
    ]
    assert not wrong


def test_python_names_nothing_twice():
    # The second one would silently stand for both.
    twice = []
    for path in tree.files(".py"):
        # Apps that are there for being broken.
        if path.is_relative_to("tests/apps"):
            continue
        names = collections.Counter(
            statement.name
            for statement in ast.parse(tree.text_of(path)).body
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef))
        )
        twice += [f"{path}: {name}" for name, count in names.items() if count > 1]
    assert not twice


def test_no_python_stands_behind_a_return():
    ends = (ast.Return, ast.Raise, ast.Continue, ast.Break)
    dead = []
    for path in tree.files(".py"):
        if path.is_relative_to("tests/apps"):
            continue
        for node in ast.walk(ast.parse(tree.text_of(path))):
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                for before, after in itertools.pairwise(block if isinstance(block, list) else []):
                    if isinstance(before, ends):
                        dead.append(f"{path}:{after.lineno}")
    assert not dead


def test_a_todo_names_its_kind_and_none_is_for_now():
    allowed = re.compile(r"TODO\((security|perf|cleanup|test)\): ")
    wrong = []
    for path in tree.files(
        ".h",
        ".cc",
        ".def",
        ".py",
        ".cmake",
        ".txt",
        below=(*tree.CODE_FOLDERS, ".cmake", "packaging"),
    ):
        for number, line in enumerate(tree.text_of(path).splitlines(), 1):
            if "TODO" in line and not allowed.search(line):
                wrong.append(f"{path}:{number}: {line.strip()}")
    assert not wrong


def test_text_ends_with_a_newline_and_has_no_trailing_space():
    wrong = []
    for path in tree.files(".h", ".cc", ".def", ".py", ".md", ".cmake", ".txt", ".json", ".toml"):
        text = tree.text_of(path)
        if text and (not text.endswith("\n") or re.search(r"[ \t]$", text, re.MULTILINE)):
            wrong.append(str(path))
    assert not wrong


def test_the_project_speaks_of_itself_alone():
    # A path of the machine that something was made on tells nothing on any other.
    workplace = re.compile(r"(?<![\w.$}])/" + r"work/")
    wrong = [
        f"{path}:{number}: {line.strip()}"
        for path in tree.files()
        for number, line in enumerate(tree.text_of(path).splitlines(), 1)
        if workplace.search(line)
    ]
    assert not wrong


def test_what_has_a_shebang_is_executable_and_the_other_way_round():
    wrong = []
    for path in tree.files():
        executable = bool((tree.ROOT / path).stat().st_mode & stat.S_IXUSR)
        if executable != tree.text_of(path).startswith("#!"):
            wrong.append(str(path))
    assert not wrong


@pytest.mark.parametrize(
    "script",
    [
        "packaging/quickstart",
        "packaging/install-dependencies",
        "tests/run",
        ".ci/run",
        ".ci/format",
    ],
)
def test_the_commands_that_documents_name_are_there(script):
    assert (tree.ROOT / script).stat().st_mode & stat.S_IXUSR


def test_shell_scripts_stop_at_the_first_error():
    wrong = []
    for path in tree.files():
        text = tree.text_of(path)
        if re.match(r"#!.*\bbash\n", text) and "\nset -euo pipefail\n" not in text:
            wrong.append(str(path))
        elif re.match(r"#!/bin/sh\n", text) and "\nset -eu\n" not in text:
            wrong.append(str(path))
    assert not wrong


@pytest.mark.parametrize("folder", SOURCE_FOLDERS)
def test_a_source_folder_has_a_target(folder):
    text = tree.text_of(f"{folder}/CMakeLists.txt")
    assert re.search(r"\b(cloister_library|cloister_program|add_library|add_executable)\(", text)


@pytest.mark.parametrize(
    "folder", [folder for folder in SOURCE_FOLDERS if folder not in TESTED_BY_SYSTEM]
)
def test_a_source_folder_has_tests(folder):
    tests = tree.ROOT / "tests" / folder
    assert sorted(tests.glob("*_test.cc")), f"no test in tests/{folder}"
    assert "cloister_test(" in tree.text_of(f"tests/{folder}/CMakeLists.txt")


def test_every_source_is_built():
    wrong = []
    for path in tree.files(".cc", below=(*tree.CODE_FOLDERS, "tests")):
        lists = [folder / "CMakeLists.txt" for folder in path.parents]
        named = any(
            (tree.ROOT / name).is_file() and path.name in tree.text_of(name) for name in lists
        )
        if not named:
            wrong.append(str(path))
    assert not wrong
