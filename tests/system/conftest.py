"""Fixtures of the end-to-end tests: the real programs, as root and as an ordinary user."""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import node as node_module  # noqa: E402

# Whoever runs the tests in the background has it ignored, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = pathlib.Path(__file__).resolve().parents[2]
USERS = ["root", "nobody"] if os.geteuid() == 0 else ["self"]


def pytest_addoption(parser):
    parser.addoption("--build", default=str(ROOT / "build/release"), help="the build to test")
    parser.addoption("--rounds", default=4, type=int, help="of lost_writes_test.py")


@pytest.fixture(scope="session")
def installation(request):
    build = pathlib.Path(request.config.getoption("--build"))
    missing = [name for name in node_module.PROGRAMS if not (build / "bin" / name).exists()]
    assert not missing, f"not built: {missing} in {build}"
    installation = node_module.Installation(build)
    yield installation
    installation.remove()


@pytest.fixture(scope="module", params=USERS)
def user(request):
    """Who runs the node. A test that asks for a node runs once for each."""
    return request.param


@pytest.fixture(scope="module")
def node(request, installation, user):
    """A running node that the tests of a module share, with the SETTINGS of that module."""
    shared = node_module.Node(installation, user, getattr(request.module, "SETTINGS", None))
    try:
        yield shared.start()
    finally:
        shared.remove()


@pytest.fixture
def make_node(installation, user):
    """make_node(settings) makes a node, not started, for one test."""
    nodes = []

    def make(settings=None, user=user):
        nodes.append(node_module.Node(installation, user, settings))
        return nodes[-1]

    yield make
    problems = []
    for made in nodes:
        try:
            made.remove()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems


@pytest.fixture
def own_node(make_node):
    """A running node for one test alone: for tests that kill or fill it."""
    return make_node().start()
