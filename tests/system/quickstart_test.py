"""The first command of the README."""

import pathlib
import socket
import subprocess

from node import free_port

QUICKSTART = pathlib.Path(__file__).resolve().parents[2] / "packaging/quickstart"


def run(*arguments):
    return subprocess.run(
        [QUICKSTART, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
    )


def test_the_check_holds():
    done = run("--check", "--port", free_port())
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "Hello, world" in lines
    assert lines[-1] == "Everything held."


def test_a_taken_port_is_said_before_anything_is_done():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--check", "--port", port)
    assert done.returncode == 1
    assert str(port) in done.stderr and "taken" in done.stderr
    assert done.stdout == ""


def test_wrong_arguments_are_said():
    for arguments in (["--port"], ["--port", "0"], ["--port", "x"], ["--what"]):
        assert run(*arguments).returncode == 2
