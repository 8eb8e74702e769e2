"""The examples of docs/apps/config.md do what the page says: each is an app and what is typed."""

import pathlib
import re
import shlex
import subprocess
import urllib.parse

import apps
from waiting import wait_until

APP = "demo/shop"
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/apps/config.md"
# An app, then what is typed and answered.
EXAMPLES = re.findall(
    r"```python\n(.*?)```\n+```console( live)?\n(.*?)```", PAGE.read_text(), re.DOTALL
)


def typed(console):
    """Commands and what they print."""
    for part in re.split(r"^\$ ", console, flags=re.M)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def run(node, command):
    """What is printed by a command of the page that a test can run."""
    if command.startswith("curl "):
        path = urllib.parse.urlsplit(command.split()[1]).path
        answer = node.http(APP, path)
        assert answer.status == 200
        return answer.body.decode() + "\n"
    value, _, rest = command.rpartition(" | ")
    words = shlex.split(rest)
    assert words[0] == "cloister"
    done = subprocess.run(
        [*node.as_user(), node.bin / "cloister", "--socket", node.socket, *words[1:]],
        input=shlex.split(value)[-1] if value else "",
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert done.returncode == 0, command + "\n" + done.stdout + done.stderr
    return ""


def test_the_page_has_examples():
    assert len(EXAMPLES) == PAGE.read_text().count("```python")
    assert len(EXAMPLES) >= 3


def test_the_examples_are_as_the_page_says(make_node, tmp_path):
    for number, (source, live, console) in enumerate(EXAMPLES):
        node = make_node().start()
        node.tenant("demo")
        node.cli("apps", "create", APP)
        extra = '\n[config]\nreload = "live"\n' if live else ""
        # What an app needs is set before it is there, but for the one that shows a change.
        commands = list(typed(console))
        before = [] if live else [one for one in commands if "cloister" in one[0]]
        for command, _ in before:
            run(node, command)
        folder = apps.write_app(tmp_path / str(number), source, name="shop", extra=extra)
        node.deploy(folder, APP)
        for command, printed in commands:
            if command not in [one[0] for one in before]:
                assert run(node, command) == printed, command
        assert node.stop() == 0
