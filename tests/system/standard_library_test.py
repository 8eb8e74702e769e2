"""What workers lack of Python's standard library: the page, `cloister dev` and a node agree."""

import ast
import json
import pathlib
import re

import apps

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTES = ROOT / "apis/package/cloister/dev/notes.py"
PAGE = ROOT / "docs/apps/moving-flask.md"

SOURCE = """
import importlib
import json
import sys


def application(environ, start_response):
    missing = []
    for name in sorted(sys.stdlib_module_names):
        # These print or open a browser when they are imported.
        if name in ("antigravity", "this"):
            continue
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(missing).encode()]
"""
# Of Windows.
OTHERS = {"msilib", "msvcrt", "nt", "winreg", "winsound"}


def noted():
    for node in ast.parse(NOTES.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "MISSING":
            return set(ast.literal_eval(node.value))
    return set()


def on_the_page():
    text = PAGE.read_text()
    paragraph = re.search(r"Workers do not have these modules[^:]*:(.*?)\n\n", text, re.DOTALL)[1]
    return set(re.findall(r"`([a-z_0-9]+)`", paragraph))


def test_what_workers_lack_is_what_the_page_and_dev_say(node, tmp_path):
    node.deploy(apps.write_app(tmp_path, SOURCE), "demo/missing")
    missing = set(json.loads(node.http("demo/missing").body)) - OTHERS
    assert {name for name in missing if not name.startswith("_")} == on_the_page() == noted()


def test_an_app_that_imports_one_is_not_told_to_bundle_it(node, tmp_path):
    for module in ("ctypes", "curses", "nis", "tkinter", "dbm.gnu"):
        folder = apps.write_app(tmp_path / module, f"import {module}\n")
        refused = node.deploy(folder, "demo/wants", check=False)
        assert refused.returncode == 3
        assert f"main.py:1: workers do not have '{module}' of Python's" in refused.stderr
        assert "[bundle] packages in" not in refused.stderr.partition("\n")[0]
