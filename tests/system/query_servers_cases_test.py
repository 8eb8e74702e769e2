"""The cases of tests/conformance, and those of frameworks, where SQL is a server's."""

import json
import pathlib
import shutil

import apps
import pytest
import sql_servers
from django_notes import deploy_notes, read_notes, write_notes
from waiting import wait_until
from walk import walk

CONFORMANCE = pathlib.Path(__file__).resolve().parents[1] / "conformance"
APP = "demo/conformance"
SERVERS = {"postgresql": sql_servers.Postgresql, "mariadb": sql_servers.Mariadb}
MAIN = """
import traceback

import query_cases
import {engine}_cases


def application(environ, start_response):
    name = environ["PATH_INFO"].rpartition("/")[2]
    text = "ok"
    try:
        query_cases.empty()
        if name:
            {{**query_cases.CASES, **{engine}_cases.CASES}}[name]()
    except Exception:
        text = traceback.format_exc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode("utf-8", "backslashreplace")]
"""
FRAMEWORK = """
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


def names_of(file):
    return [line.removeprefix("def ").partition("(")[0]
            for line in (CONFORMANCE / file).read_text().splitlines()
            if line.startswith("def case_")]


def only_sqlite():
    text = (CONFORMANCE / "query_cases.py").read_text()
    return eval(text.partition("ONLY_SQLITE = ")[2].partition("\nCASES")[0])


def names_with(engine):
    common = [name for name in names_of("query_cases.py") if name not in only_sqlite()]
    return dict.fromkeys(common + names_of(f"{engine}_cases.py"))


NAMES = [(engine, name) for engine in SERVERS for name in names_with(engine)]


@pytest.fixture(scope="module", params=SERVERS)
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def server(engine):
    server = SERVERS[engine]()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="module")
def served(installation, user, server):
    import node as node_module

    # As many as transactions may be open, and one.
    settings = {"query": {**server.settings, "connections": 17}}
    node = node_module.Node(installation, user, settings)
    try:
        node.start()
        yield node
    finally:
        node.remove()


@pytest.fixture(scope="module")
def app(served, engine, tmp_path_factory):
    files = {f"{name}.py": (CONFORMANCE / f"{name}.py").read_text()
             for name in ("query_cases", f"{engine}_cases", "expect")}
    source = MAIN.format(engine=engine)
    served.deploy(apps.write_app(tmp_path_factory.mktemp("app"), source, files=files), APP)
    served.cli("quota", "set", APP, "query.statements=100000")
    return served


@pytest.mark.parametrize("engine, name", NAMES, indirect=["engine"], scope="module")
def test_case(app, name):
    answer = app.http(APP, f"/run/{name}", timeout=60.0)
    assert answer.body == b"ok", answer.body.decode()


def test_a_database_with_tables_is_deleted_by_force_only(served, server):
    def shell(sql):
        served.cli("db", "shell", "kept/app", "--write", "-c", sql)

    served.cli("tenants", "create", "kept")
    served.cli("apps", "create", "kept/app")
    before = set(server.databases())
    shell("SELECT 1")
    (name,) = set(server.databases()) - before
    info = json.loads(served.cli("--json", "apps", "info", "kept/app").stdout)
    assert info["app"]["database"] == name
    shell("CREATE TABLE t (a int)")
    shell("INSERT INTO t VALUES (1)")
    refused = served.cli("apps", "delete", "kept/app", check=False)
    assert refused.returncode == 3, refused
    assert "a database on the server, 1 table" in refused.stderr, refused
    assert name in server.databases()
    assert "its database (1 table)" in served.cli("apps", "delete", "kept/app", "--force").stdout
    wait_until(lambda: name not in server.databases(), "it is gone")
    # One that has nothing in it is no reason to keep the app.
    served.cli("apps", "create", "kept/app")
    shell("SELECT 1")
    served.cli("apps", "delete", "kept/app")
    status = json.loads(served.cli("--json", "status").stdout)
    assert status["facts"]["databases"] == "on the server"


@pytest.mark.parametrize("package", ["sqlalchemy", "django"])
def test_framework(served, tmp_path, package):
    name = f"{package}_cases"
    files = {f"{each}.py": (CONFORMANCE / f"{each}.py").read_text()
             for each in (name, "expect", "query_cases")}
    bundle = f'\n[bundle]\npackages = ["{package}"]\n'
    folder = apps.write_app(tmp_path / "app", FRAMEWORK.format(name=name), files=files,
                            extra=bundle)
    framework = f"frameworks/{package}"
    served.deploy(folder, framework)
    served.cli("quota", "set", framework, "query.statements=100000", "limits.wall=120s")
    answer = served.http(framework, "/run", timeout=120.0)
    assert answer.body.startswith(b"ok "), answer.body.decode()


@pytest.mark.parametrize("example", ["guestbook", "link-shortener", "sync-storage"])
def test_examples_of_the_docs_answer_as_on_sqlite(served, tmp_path, example):
    folder = tmp_path / "app"
    shutil.copytree(CONFORMANCE.parents[1] / "docs/examples" / example, folder)
    apps.open_to_all(folder)
    walk(served, folder, f"examples/{example}")


def test_the_admin_of_django_is_as_on_sqlite(served, tmp_path):
    notes = deploy_notes(served, tmp_path / "app")
    write_notes(notes)
    read_notes(notes)
