"""An API has all of its parts: apis/README.md says which."""

import ast
import re

import pytest
import source_tree as tree

APIS = sorted(path.parent.name for path in tree.files(".h", below=("apis",))
              if path.name == "quota.h" and path.parent.name != "quota")
# Those that an app calls, with their place in the numbers of calls.
CALLED = {
    name: numbers
    for name in APIS
    if (numbers := re.findall(r"^CALL\(\w+, 0x(\w\w)\w\w, ", tree.text_of(f"apis/{name}/calls.def"),
                              re.MULTILINE))
}
PAGES = {"entrypoint": "entry-points"}


def test_there_are_apis():
    assert {"cache", "config", "entrypoint", "logging"} <= set(APIS)
    assert "cache" in CALLED


@pytest.mark.parametrize("name", APIS)
def test_an_api_has_its_folder(name):
    for file in ("calls.def", "quota.h", "client.py", "README.md"):
        assert tree.text_of(f"apis/{name}/{file}"), f"apis/{name}/{file}"
    assert tree.text_of(f"apis/{name}/README.md").startswith("# ")
    assert f'#include "apis/{name}/calls.def"\n' in tree.text_of("apis/calls.def")


@pytest.mark.parametrize("name", APIS)
def test_an_api_has_its_quota_in_the_settings(name):
    quota = re.search(r"struct (\w+Quota) \{", tree.text_of(f"apis/{name}/quota.h"))[1]
    assert quota in tree.text_of("config/settings.h")
    section = {"entrypoint": "limits", "logging": "log"}.get(name, name)
    assert f"QUOTA({section}, " in re.sub(r"\s+", " ", tree.text_of("config/schema.def"))


@pytest.mark.parametrize("name", APIS)
def test_an_api_has_its_page(name):
    page = tree.text_of(f"docs/apps/{PAGES.get(name, name)}.md")
    assert page.startswith("# ")
    assert re.search(r"^## (Quotas|Limits)$", page, re.MULTILINE), "what happens at the limit"


@pytest.mark.parametrize("name", CALLED)
def test_an_api_with_calls_has_both_sides_a_stand_in_and_tests(name):
    for file in ("service.h", "service.cc", "local.py"):
        assert tree.text_of(f"apis/{name}/{file}"), f"apis/{name}/{file}"
    assert sorted((tree.ROOT / "tests/apis" / name).glob("*_test.cc"))
    cases = "".join(path.read_text() for path in (tree.ROOT / "tests/conformance").glob("*.py"))
    assert re.search(rf"^from cloister import .*\b{name}\b", cases, re.MULTILINE)


@pytest.mark.parametrize("name, numbers", CALLED.items())
def test_the_calls_of_an_api_are_metered_and_answered_by_its_service(name, numbers):
    (number,) = set(numbers)
    services = tree.text_of("daemon/calls/services.h")
    assert re.search(rf'SERVICE\(\w+, 0x{number}, "{name}\.\w+", {name}\.\w+\)', services)
    assert re.search(rf"\b{name.capitalize()}Quota {name}\b", tree.text_of("apis/service.h"))


def calls_of(name):
    rows = tree.text_of(f"apis/{name}/calls.def")
    return re.findall(rf'^CALL\(\w+, 0x\w+, "{name}\.(\w+)"\)', rows, re.MULTILINE)


@pytest.mark.parametrize("name", CALLED)
def test_every_call_is_bound_by_the_client_and_made_by_the_stand_in(name):
    client = tree.text_of(f"apis/{name}/client.py")
    stand_in = tree.text_of(f"apis/{name}/local.py")
    for call in calls_of(name):
        assert f"_bind('{name}.{call}')" in client, call
        assert re.search(rf"^def {call}\(", stand_in, re.MULTILINE), call


def test_numbers_and_names_of_calls_are_used_once():
    text = "".join(tree.text_of(f"apis/{name}/calls.def") for name in CALLED)
    rows = re.findall(r"^CALL\((\w+), (0x\w+), ", text, re.MULTILINE)
    for column in zip(*rows):
        assert len(set(column)) == len(column)


PUBLIC_MODULES = [
    str(path)
    for path in tree.files(".py", below=("apis",))
    if path.name == "client.py"
    or (path.parent.name == "cloister" and not path.name.startswith("_"))
    or path.name == "_memoize.py"
]


def public_functions(nodes, prefix=""):
    """(name, node) of functions, methods and classes that an app may name."""
    for node in nodes:
        if isinstance(node, ast.If):
            yield from public_functions(node.body, prefix)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_functions(node.body, f"{prefix}{node.name}.")


def has_hints(function, is_method):
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs][is_method:]
    named += [each for each in (arguments.vararg, arguments.kwarg) if each]
    return function.returns is not None and all(each.annotation for each in named)


@pytest.mark.parametrize("path", PUBLIC_MODULES)
def test_what_is_public_has_hints_and_says_what_it_does(path):
    wrong = []
    for name, node in public_functions(ast.parse(tree.text_of(path)).body):
        if not ast.get_docstring(node):
            wrong.append(f"{name} says nothing")
        if isinstance(node, ast.FunctionDef) and not has_hints(node, "." in name):
            wrong.append(f"{name} lacks a hint")
    assert not wrong
    assert ast.get_docstring(ast.parse(tree.text_of(path)))
