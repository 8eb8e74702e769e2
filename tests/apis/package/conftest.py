"""The package for developers, as the build has put it together."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

# Whoever runs the tests in the background has it ignored, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = pathlib.Path(__file__).resolve().parents[3]


def pytest_addoption(parser):
    parser.addoption("--build", default=str(ROOT / "build/release"), help="the build to test")


def pytest_configure(config):
    package = pathlib.Path(config.getoption("--build")) / "lib/python"
    assert (package / "cloister").is_dir(), f"not built: {package}"
    sys.path.insert(0, str(package))
    sys.path[1:1] = [str(ROOT / "tests/system"), str(ROOT / "tests/conformance")]


@pytest.fixture(scope="session")
def package():
    """The folder to import `cloister` from."""
    import cloister

    return pathlib.Path(cloister.__file__).parents[1]


@pytest.fixture(autouse=True)
def fresh_stand_ins():
    import cloister

    cloister.testing.reset()


@pytest.fixture
def dev(package):
    """dev(ARGUMENTS) runs the development server to its end; dev.start(ARGUMENTS) begins it."""
    runner = Dev(package)
    yield runner
    runner.end()


class Dev:
    def __init__(self, package):
        self.environment = {**os.environ, "PYTHONPATH": str(package)}
        self._started = []

    def command(self, arguments):
        return [sys.executable, "-m", "cloister.dev", *map(str, arguments)]

    def __call__(self, *arguments):
        return subprocess.run(
            self.command(arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, *arguments, log):
        with open(log, "ab") as file:
            process = subprocess.Popen(
                self.command(arguments),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def end(self):
        for process in self._started:
            if process.poll() is None:
                process.terminate()
            process.wait(20)
