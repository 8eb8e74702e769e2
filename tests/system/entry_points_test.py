"""The examples of docs/apps/entry-points.md are deployed as they stand there."""

import hashlib
import pathlib
import re

import apps
import pytest

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/apps/entry-points.md"
APP = "demo/examples"
STYLE = b"body { color: green }\n"


def blocks():
    """Text by name of the code blocks that have a file's name: ```python app.py"""
    return dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S))


@pytest.fixture(scope="module", autouse=True)
def app(node, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    apps.write_app(
        folder,
        files={
            **blocks(),
            "public/style.css": STYLE,
            "public/favicon.ico": b"\0\0\1\0",
        },
    )
    (folder / "main.py").unlink()
    node.deploy(folder, APP)


def test_the_smallest_app(node):
    assert node.http(APP, "/x").text() == "Hello from /x\n"
    assert node.http(APP, "/", method="POST", body=b"x" * 100_000).text() == "100000 bytes\n"


def test_its_static_files(node):
    answer = node.http(APP, "/assets/style.css")
    assert answer.body == STYLE
    assert answer.header("ETag") == f'"{hashlib.sha256(STYLE).hexdigest()}"'
    assert answer.header("Cache-Control") == "no-cache"
    assert node.http(APP, "/favicon.ico").header("Cache-Control") == "public, max-age=3600"
    assert node.http(APP, "/assets/missing").text() == "Hello from /assets/missing\n"


def test_every_key_of_the_table_is_in_the_environ(node, tmp_path):
    rows = re.findall(r"^\| (`[^|]*) \|", PAGE.read_text().split("## The answer")[0], re.M)
    keys = [key for row in rows for key in re.findall(r"`([^`]+)`", row)]
    assert {"SCRIPT_NAME", "wsgi.input", "cloister.request_id"} < set(keys)
    source = (
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return ['\\n'.join(sorted(environ)).encode()]\n"
    )
    node.deploy(apps.write_app(tmp_path, source), "demo/keys")
    seen = node.http("demo/keys", "/", method="POST", body=b"x", headers=[("Content-Type", "a/b")])
    present = set(seen.text().split("\n"))
    assert [key for key in keys if key != "HTTP_*" and key not in present] == []
    undocumented = [key for key in present if not key.startswith("HTTP_") and key not in keys]
    assert undocumented == []
