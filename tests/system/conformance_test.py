"""A node's APIs do what the stand-ins do: the cases of tests/conformance, run in a worker."""

import pathlib

import apps
import pytest

CONFORMANCE = pathlib.Path(__file__).resolve().parents[1] / "conformance"
FILES = {
    path.name: path.read_text() for path in CONFORMANCE.glob("*.py") if path.name != "main.py"
}
NAMES = [
    line.removeprefix("def ").partition("(")[0]
    for file in ("cases.py", "object_cases.py", "query_cases.py", "quota_cases.py")
    for line in FILES[file].splitlines()
    if line.startswith("def case_")
]
APP, OTHER = "demo/conformance", "demo/other"


@pytest.fixture(scope="module")
def served(node, tmp_path_factory):
    source = (CONFORMANCE / "main.py").read_text()
    for app in (APP, OTHER):
        folder = apps.write_app(tmp_path_factory.mktemp("app"), source, files=FILES)
        node.deploy(folder, app)
    config = {}
    exec(FILES["config_values.py"], config)
    node.cli("quota", "set", APP, "persistence.writes=3000")
    node.cli("config", "set", APP, *(f"{k}={v}" for k, v in config["CONFIG"].items()))
    return node.wait_cache()


def ask(node, app, target):
    answer = node.http(app, target)
    assert answer.status == 200, node.cli("logs", app).stdout
    return answer.body.decode()


@pytest.mark.parametrize("name", NAMES)
def test_case(served, name):
    text = ask(served, APP, f"/run/{name}")
    assert text == "ok", text


def test_an_app_cannot_name_what_another_one_keeps(served):
    assert ask(served, APP, "/keep?a=1&b=2") == "[]"
    assert ask(served, OTHER, "/keep?b=other") == "[]"
    assert ask(served, OTHER, "/kept?a&b") == "[('b', b'other')]"
    assert ask(served, APP, "/kept?a&b") == "[('a', b'1'), ('b', b'2')]"
    assert ask(served, OTHER, "/clear") == "True"
    assert ask(served, OTHER, "/kept?a&b") == "[]"
    assert ask(served, APP, "/kept?a&b") == "[('a', b'1'), ('b', b'2')]"


def test_what_is_kept_is_there_after_a_deploy(served, tmp_path):
    assert ask(served, APP, "/keep?a=1") == "[]"
    source = (CONFORMANCE / "main.py").read_text()
    served.deploy(apps.write_app(tmp_path / "app", source, "1.0.1", files=FILES), APP)
    assert ask(served, APP, "/kept?a") == "[('a', b'1')]"
