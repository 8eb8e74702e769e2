"""The apps of docs/apps/moving-flask.md and moving-django.md run as the pages have them."""

import pathlib
import re

import apps

PAGES = pathlib.Path(__file__).resolve().parents[2] / "docs/apps"
URLS = """
from django.core.cache import cache
from django.http import HttpResponse
from django.urls import path


def index(request):
    request.session["visits"] = visits = request.session.get("visits", 0) + 1
    cache.set("last", visits)
    return HttpResponse(f"visit {visits}\\n")


urlpatterns = [path("", index)]
"""
WSGI = """
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()
"""


def block(page, language, begin=""):
    """The first block of a language that begins so."""
    text = (PAGES / page).read_text()
    return re.search(rf"```{language}\n({re.escape(begin)}.*?)```", text, re.DOTALL)[1]


def add_static_files(folder, page, path):
    """What the page says of an app with static files; under a new version."""
    manifest = folder / "cloister.toml"
    text = manifest.read_text().replace('version = "1.0.0"', 'version = "1.1.0"')
    static = block(page, "toml", "[static]")
    return write(folder, {"cloister.toml": text + "\n" + static, path: "body{}"})


def write(folder, files):
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    apps.open_to_all(folder)
    return folder


def cookie_of(answer):
    return answer.header("Set-Cookie").partition(";")[0]


def test_flask(make_node, tmp_path):
    node = make_node().start()
    files = {
        "cloister.toml": block("moving-flask.md", "toml"),
        "app.py": block("moving-flask.md", "python"),
    }
    node.deploy(write(tmp_path / "shop", files), "demo/shop")
    node.deploy(
        add_static_files(tmp_path / "shop", "moving-flask.md", "static/style.css"), "demo/shop"
    )
    first = node.http("demo/shop")
    assert first.body == b"visit 1\n"
    assert node.http("demo/shop", headers=[("Cookie", cookie_of(first))]).body == b"visit 2\n"
    assert node.http("demo/shop", "/static/style.css").body == b"body{}"
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + bytes(100_000)
        + b"\r\n--x--\r\n"
    )
    kind = ("Content-Type", "multipart/form-data; boundary=x")
    assert node.http("demo/shop", "/upload", "POST", [kind], form).body == b"100000 bytes\n"
    shown = node.cli("logs", "demo/shop", "--level", "info").stdout
    assert "visit visits=2" in shown


def test_django(make_node, tmp_path):
    node = make_node().start()
    files = {
        "cloister.toml": block("moving-django.md", "toml"),
        "project/__init__.py": "",
        "project/settings.py": block("moving-django.md", "python"),
        "project/urls.py": URLS,
        "project/wsgi.py": WSGI,
    }
    node.tenant("demo")
    node.cli("apps", "create", "demo/shop")
    node.cli("config", "set", "demo/shop", "SECRET_KEY=" + "fifty random characters " * 3)
    node.deploy(write(tmp_path / "shop", files), "demo/shop")
    node.deploy(
        add_static_files(tmp_path / "shop", "moving-django.md", "collected/style.css"), "demo/shop"
    )
    first = node.http("demo/shop")
    assert first.body == b"visit 1\n"
    assert node.http("demo/shop", headers=[("Cookie", cookie_of(first))]).body == b"visit 2\n"
    assert node.http("demo/shop", "/static/style.css").body == b"body{}"
