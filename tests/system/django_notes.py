"""docs/examples/django-notes, used as people use it."""

import pathlib
import re
import shutil
import urllib.parse

import apps

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


def deploy_notes(node, folder):
    app = "examples/notes"
    shutil.copytree(EXAMPLES / "django-notes", folder)
    apps.open_to_all(folder)
    node.tenant("examples")
    node.cli("apps", "create", app)
    node.cli("config", "set", app, f"SECRET_KEY={'k' * 50}", f"ADMIN_PASSWORD={PASSWORD}")
    node.deploy(folder, app)
    return Browser(node, app)


def write_notes(notes):
    """One that all may read and one that nobody may, in the admin."""
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


def read_notes(notes):
    page = notes.ask("/").text()
    assert "Shown &lt;b&gt;" in page and "Hidden" not in page
    assert notes.ask("/admin/").status == 200, "the session is in the database"
