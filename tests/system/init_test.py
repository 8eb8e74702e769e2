"""cloister init and cloister dev: what they write is an app, in its tests, here and on a node."""

import json
import os
import pathlib
import subprocess
import sys

import apps
import pytest
import raw_http
from node import free_port
from waiting import wait_until

KINDS = ["wsgi", "flask", "django"]


def run(installation, *arguments, cwd, **options):
    return subprocess.run(
        [installation.bin / "cloister", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        **options,
    )


@pytest.fixture(params=KINDS)
def shop(request, installation, tmp_path):
    folder = tmp_path / "shop"
    done = run(installation, "init", "shop", "--kind", request.param, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return folder


def test_its_tests_pass_and_its_checks_hold(installation, shop):
    done = run(installation, "dev", "--test", cwd=shop)
    assert done.returncode == 0 and "Ran 3 tests" in done.stderr, done.stderr
    done = run(installation, "dev", "--check", "shop", cwd=shop.parent)
    assert done.returncode == 0 and "check GET /: 200" in done.stderr, done.stderr


def test_a_broken_app_fails_its_tests(installation, shop):
    for path in shop.rglob("*.py"):
        if "Hello" in path.read_text() and not path.name.startswith("test"):
            path.write_text(path.read_text().replace("Hello", "Bye"))
    done = run(installation, "dev", "--test", cwd=shop)
    assert done.returncode == 1 and "Bye" in done.stderr


def test_a_folder_without_tests_is_told_from_one_whose_tests_pass(installation, tmp_path):
    run(installation, "init", "shop", cwd=tmp_path)
    (tmp_path / "shop/test_app.py").unlink()
    done = run(installation, "dev", "--test", "shop", cwd=tmp_path)
    assert done.returncode == 1 and "no tests" in done.stderr, done.stderr


def test_a_check_is_as_strict_about_the_manifest_as_a_deploy(installation, tmp_path):
    run(installation, "init", "shop", cwd=tmp_path)
    manifest = tmp_path / "shop/cloister.toml"
    manifest.write_text(manifest.read_text() + "\n[limits]\nmemroy = '1MiB'\n")
    done = run(installation, "dev", "--check", "shop", cwd=tmp_path)
    assert done.returncode == 3 and "error[manifest_invalid]" in done.stderr, done.stderr
    assert "memroy" in done.stderr
    done = run(installation, "--json", "dev", "--check", "shop", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "usage")


def test_dev_serves_it_and_ends_when_it_is_told(installation, tmp_path):
    run(installation, "init", "shop", cwd=tmp_path)
    port = free_port()
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [installation.bin / "cloister", "dev", "shop", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=tmp_path,
        )
    try:

        def answers():
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                answer = raw_http.request(("127.0.0.1", port), "GET", "/", "shop.localhost")
            except (OSError, raw_http.ConnectionEnded):
                return False
            return answer.body == b"Hello from shop, visit 1\n"

        wait_until(answers, (tmp_path / "log").read_text)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_where_is_the_package(installation, tmp_path):
    path = json.loads(run(installation, "dev", "--where", "--json", cwd=tmp_path).stdout)["path"]
    assert pathlib.Path(path, "cloister/dev/server.py").is_file()
    done = subprocess.run(
        [sys.executable, "-c", "import cloister; print(cloister.cache.set('a', b'1'))"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr


def test_the_stubs_are_python_and_say_what_there_is(installation, tmp_path):
    run(installation, "init", "shop", cwd=tmp_path)
    stubs = tmp_path / "shop/typings/cloister"
    text = {path.name: path.read_text() for path in stubs.glob("*.pyi")}
    for name, source in text.items():
        compile(source, name, "exec")
    assert "class QuotaExceeded(Exception):" in text["__init__.pyi"]
    for call in ("get", "get_multi", "set_multi", "cas", "incr", "touch"):
        assert f"def {call}(" in text["cache.pyi"]
    assert "_bind" not in text["cache.pyi"]


def test_it_runs_on_a_node(installation, tmp_path, make_node):
    node = make_node().start()
    for kind in ("wsgi", "flask"):
        run(installation, "init", kind, "--kind", kind, cwd=tmp_path)
        apps.open_to_all(tmp_path / kind)
        node.deploy(tmp_path / kind, f"demo/{kind}")
        answer = node.http(f"demo/{kind}")
        assert answer.status == 200 and answer.body.startswith(b"Hello from " + kind.encode())
