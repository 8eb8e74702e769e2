"""SQLAlchemy and Django of the deployer's Python on an app's database, on a node."""

import pathlib

import apps
import pytest

CONFORMANCE = pathlib.Path(__file__).resolve().parents[1] / "conformance"
MAIN = """
import traceback

import {name}


def application(environ, start_response):
    try:
        text = "ok %d" % {name}.run() if environ["PATH_INFO"] == "/run" else "hello"
    except Exception:
        text = traceback.format_exc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode("utf-8", "backslashreplace")]
"""


@pytest.mark.parametrize("package", ["sqlalchemy", "django"])
def test_cases(node, tmp_path, package):
    name = f"{package}_cases"
    files = {
        f"{each}.py": (CONFORMANCE / f"{each}.py").read_text()
        for each in (name, "expect", "query_cases")
    }
    bundle = f'\n[bundle]\npackages = ["{package}"]\n'
    folder = apps.write_app(tmp_path / "app", MAIN.format(name=name), files=files, extra=bundle)
    app = f"frameworks/{package}"
    node.deploy(folder, app)
    node.cli("quota", "set", app, "query.statements=100000", "limits.wall=120s")
    answer = node.http(app, "/run", timeout=120.0)
    assert answer.body.startswith(b"ok "), answer.body.decode()
