"""SQLAlchemy and Django on the stand-in; tests/system/query_frameworks_test.py asks a node."""

import os
import pathlib
import subprocess
import sys

import pytest

CONFORMANCE = pathlib.Path(__file__).resolve().parents[2] / "conformance"


@pytest.mark.parametrize("name", ["sqlalchemy_cases", "django_cases"])
def test_cases(package, name):
    # Django is configured once a process.
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}; print({name}.run())"],
        env={**os.environ, "PYTHONPATH": f"{package}:{CONFORMANCE}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 7
