"""The examples of docs/apps/logging.md, and what a node refuses, on a developer's machine."""

import pathlib
import re
import subprocess
import sys

import apps
import pytest

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/apps/logging.md"
# An app, then the text of its log.
EXAMPLES = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", PAGE.read_text(), re.DOTALL)


def events_of_the_request(text):
    """As on the page: the events that have a request, with TIME and ID for what differs."""
    text = re.sub(r"(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    events = re.split(r"(?m)^(?=TIME |cloister dev: )", text)
    mark = re.compile(r"^TIME 1\.0\.0 \[check\] ([^\n]*?) ?[0-9A-F]{26}  ")
    return "".join(mark.sub(r"TIME 1.0.0 \1 ID  ", event) for event in events if mark.match(event))


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_are_as_the_page_says(dev, tmp_path, number):
    source, expected = EXAMPLES[number]
    folder = apps.write_app(tmp_path / "shop", source, "1.0.0", name="shop")
    done = dev("--dir", folder, "--check")
    assert done.returncode == 0, done.stderr
    shown = events_of_the_request(done.stderr).replace(f"{folder}/", "shop@1.0.0/")
    assert shown == expected


SETTINGS = """
import logging.config

logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"own": {"format": "FMT %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"handlers": ["console"], "level": "INFO"},
})


def application(environ, start_response):
    logging.getLogger("shop").info("sold", extra={"a": 1})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""


def test_a_stream_handler_of_dict_config_keeps_level_logger_and_fields(dev, tmp_path):
    folder = apps.write_app(tmp_path / "shop", SETTINGS, "1.0.0", name="shop")
    done = dev("--dir", folder, "--check")
    assert events_of_the_request(done.stderr) == "TIME 1.0.0 logging info shop ID  FMT sold a=1\n"


def test_a_log_file_is_refused_as_on_a_node(dev, tmp_path):
    log_file = tmp_path / "x.log"
    source = f"import logging\nlogging.basicConfig(filename={str(log_file)!r})\n"
    folder = apps.write_app(tmp_path / "shop", source + "def application(e, s): pass\n")
    done = dev("--dir", folder, "--check")
    assert done.returncode != 0
    assert "PermissionError: FileHandler writes files, which a worker has not" in done.stderr
    assert not log_file.exists()


def test_a_log_file_is_refused_in_unittests_too(dev, tmp_path):
    log_file = tmp_path / "x.log"
    (tmp_path / "test_app.py").write_text(
        "import logging, unittest\n\n\n"
        "class AppTest(unittest.TestCase):\n"
        "    def test_it(self):\n"
        f"        logging.FileHandler({str(log_file)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "cloister.dev.tests", str(tmp_path)],
        env=dev.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "cloister dev: FileHandler was refused: FileHandler writes files" in done.stderr
    assert not log_file.exists()
