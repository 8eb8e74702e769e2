"""SQLAlchemy and Django on the stand-in; tests/system/query_frameworks_test.py asks a node."""

import os
import pathlib
import subprocess
import sys

import pytest

CONFORMANCE = pathlib.Path(__file__).resolve().parents[2] / "conformance"

# All migrations for each case: more statements a second than an app has.
PROGRAM = """
from cloister import testing
import {name}

testing.limits(query_statements=100000)
print({name}.run())
"""


@pytest.mark.parametrize("name", ["sqlalchemy_cases", "django_cases"])
def test_cases(package, name):
    # Django is configured once a process.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name)],
        env={**os.environ, "PYTHONPATH": f"{package}:{CONFORMANCE}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 7
