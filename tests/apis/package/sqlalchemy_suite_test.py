"""SQLAlchemy's own suite for dialects on cloister://, with the stand-in.

What does not apply is left out by tests/conformance/sqlalchemy_suite/requirements.py, which has the
reasons.
"""

import os
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "conformance/sqlalchemy_suite"


def test_the_suite_passes(package):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly",
         "-c", os.devnull, "--rootdir", FOLDER, "-q", "-rfE", "--tb=short",
         "--dburi=cloister://", "suite.py"],
        env={**os.environ, "PYTHONPATH": f"{package}:{FOLDER}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed >= 400, done.stdout[-500:]
