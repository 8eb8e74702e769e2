"""docs/examples/django-notes, used as people use it; deploy_test walks the other examples."""

import pathlib
import re
import shutil
import urllib.parse

import apps
import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs/examples"
PASSWORD = "correct horse battery staple"


class Browser:
    """Keeps cookies, and sends forms with their token."""

    def __init__(self, node, app):
        self.node = node
        self.app = app
        self.cookies = {}

    def ask(self, target, method="GET", body=None):
        headers = [("Cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))]
        if body is not None:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            body = urllib.parse.urlencode(body).encode()
        answer = self.node.http(self.app, target, method, headers, body)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return answer

    def submit(self, target, form):
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', self.ask(target).text())
        assert token, "the page has no form"
        return self.ask(target, "POST", {"csrfmiddlewaretoken": token[1], **form})


@pytest.fixture
def notes(own_node, tmp_path):
    app = "examples/notes"
    folder = tmp_path / "app"
    shutil.copytree(EXAMPLES / "django-notes", folder)
    apps.open_to_all(folder)
    own_node.tenant("examples")
    own_node.cli("apps", "create", app)
    own_node.cli("config", "set", app, f"SECRET_KEY={'k' * 50}", f"ADMIN_PASSWORD={PASSWORD}")
    own_node.deploy(folder, app)
    return Browser(own_node, app)


def test_notes_are_written_in_the_admin_and_read_by_all(notes):
    assert "none yet" in notes.ask("/").text()
    assert "errornote" in notes.submit(
        "/admin/login/", {"username": "admin", "password": "wrong"}
    ).text()
    done = notes.submit("/admin/login/", {"username": "admin", "password": PASSWORD})
    assert done.status == 302
    for title, public in (("Shown <b>", "on"), ("Hidden", None)):
        form = {"title": title, "text": "Some words.", **({"is_public": public} if public else {})}
        assert notes.submit("/admin/notes/note/add/", form).status == 302
    listed = notes.ask("/admin/notes/note/?is_public__exact=0&q=hid").text()
    assert "Hidden" in listed and "Shown" not in listed
    style = notes.ask("/static/admin/css/base.css")
    assert style.status == 200 and "css" in style.header("Content-Type")

    notes.node.restart()
    page = notes.ask("/").text()
    assert "Shown &lt;b&gt;" in page and "Hidden" not in page
    assert notes.ask("/admin/").status == 200, "the session is in the database"
