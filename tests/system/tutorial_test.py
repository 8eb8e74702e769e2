"""docs/tutorial.md, command by command, on a node of its own."""

import os
import pathlib
import re
import subprocess
import time

import apps
import pytest
from node import free_port
from waiting import wait_until

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/tutorial.md"
BLOCKS = re.findall(r"```console( background)?\n(.*?)```", PAGE.read_text(), re.DOTALL)


def pattern_of(expected):
    """`...` stands for anything in a line; a line of it for any lines."""
    parts = []
    for line in expected.splitlines(keepends=True):
        if line == "...\n":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line).replace(re.escape("..."), ".*"))
    return re.compile("".join(parts))


def commands(block):
    """(command, what it prints) of a block."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def test_the_page_has_its_commands():
    found = [command for _, block in BLOCKS for command, _ in commands(block)]
    for verb in ("init shop", "dev --test", "dev shop", "deploy", "logs", "rollback", "releases"):
        assert any(verb in command for command in found), verb
    assert pattern_of("a ...\n...\nz\n").fullmatch("a b\nc\nd\nz\n")
    assert not pattern_of("a\n...\nz\n").fullmatch("a\nb\nx\n")


class Reader:
    """Somebody who types what the page says."""

    def __init__(self, node, folder):
        self.folder = folder
        self.ports = {"8080": str(node.port), "8000": str(free_port())}
        self.environment = {
            **os.environ,
            "CLOISTER_SOCKET": node.socket,
            "PATH": f"{node.bin}:{os.environ['PATH']}",
        }
        self._log = folder.parent / "background.log"
        self._background = []

    def as_here(self, text):
        for shown, port in self.ports.items():
            text = text.replace(f":{shown}", f":{port}")
        return text

    def type(self, command, expected):
        done = subprocess.run(
            ["bash", "-c", self.as_here(command).replace("curl ", "curl -sS ")],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert pattern_of(self.as_here(expected)).fullmatch(
            done.stdout
        ), f"$ {command}\n{done.stdout}\nnot\n{expected}"

    def begin(self, command, expected):
        with open(self._log, "wb") as log:
            self._background.append(
                subprocess.Popen(
                    [*command.split(), "--port", self.ports["8000"]],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        pattern = pattern_of(self.as_here(expected))
        wait_until(lambda: pattern.match(self._log.read_text()), self._log.read_text)

    def leave(self):
        for process in self._background:
            process.terminate()
            process.wait(20)


@pytest.fixture
def reader(make_node, tmp_path):
    node = make_node().start()
    node.tenant("demo")
    folder = tmp_path / "home"
    folder.mkdir()
    apps.open_to_all(folder)
    reader = Reader(node, folder)
    yield reader
    reader.leave()


def test_every_command_does_what_the_page_says(reader):
    began = time.monotonic()
    for background, block in BLOCKS:
        for command, expected in commands(block):
            if background:
                reader.begin(command, expected)
            else:
                reader.type(command, expected)
    assert time.monotonic() - began < 120
