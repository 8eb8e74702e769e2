"""The examples of docs/apps/logging.md do what the page says: each is an app with a log."""

import pathlib
import re

import apps
from waiting import wait_until

APP = "demo/shop"
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/apps/logging.md"
# An app, then the text of its log.
EXAMPLES = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", PAGE.read_text(), re.DOTALL)


def as_on_the_page(text, request_id):
    text = re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text, flags=re.MULTILINE)
    return re.sub(rf"{request_id}", "ID", text)


def test_the_page_has_examples():
    assert len(EXAMPLES) == PAGE.read_text().count("```python")
    assert len(EXAMPLES) >= 7


def test_the_examples_are_as_the_page_says(make_node, tmp_path):
    node = make_node().start()
    for number, (source, expected) in enumerate(EXAMPLES):
        version = "1.0.0"
        app = f"{APP}-{number}" if number else APP
        name = app.split("/")[1]
        node.deploy(apps.write_app(tmp_path / name, source, version, name=name), app)
        answer = node.http(app)
        assert answer.status == 200
        request_id = answer.header("X-Request-Id")

        def shown(app=app, request_id=request_id):
            text = node.cli("logs", app, "--request", request_id).stdout
            return as_on_the_page(text, request_id)

        def said(shown=shown, expected=expected, name=name):
            return shown() == expected.replace("shop@", f"{name}@")

        wait_until(said, lambda expected=expected, shown=shown: f"{expected}\nnot\n{shown()}", 10)
