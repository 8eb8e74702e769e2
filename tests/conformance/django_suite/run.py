#!/usr/bin/env python3
"""Django's own tests on cloister.django.db (the stand-in), beside the same on Django's SQLite.

    python3.11 tests/conformance/django_suite/run.py SOURCE [FOLDER]...

SOURCE is Django's source with its tests, which Debian's package leaves out: what `apt-get source
python-django` unpacks (deb-src and dpkg-dev). The Django that is tested is that one. Without a
FOLDER of its tests: all of them. Ends with 0 if nothing fails on cloister.django.db but what fails
on Django's SQLite as well, or is in MEANT.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PACKAGE = pathlib.Path(__file__).resolve().parents[3] / "build/release/lib/python"
# Fail on cloister.django.db only.
MEANT = {
    "backends.sqlite.test_creation.TestDbSignatureTests.test_custom_test_name":
        "a test database has no name: it is the stand-in's",
    "dbshell.tests.DbshellCommandTestCase.test_command_missing":
        "`manage.py dbshell` is refused; `cloister db shell` is the prompt",
}
# `other` is Django's SQLite on both sides: an app has one database.
SETTINGS = """
DATABASES = {{
    "default": {{"ENGINE": "{engine}"}},
    "other": {{"ENGINE": "django.db.backends.sqlite3"}},
}}
SECRET_KEY = "not a secret: a test"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
"""
# More statements a second than an app has, and time for the tables of hundreds of apps.
LIMITS = """
from cloister import testing
testing.limits(query_statements=1_000_000, query_transaction_time=600_000)
"""
ENGINES = {"sqlite": "django.db.backends.sqlite3", "cloister": "cloister.django.db"}
ENDED = re.compile(r"^(?:FAIL|ERROR): (\S+) \(([\w.]+)\)", re.MULTILINE)


def run(name, source, folders, logs):
    """The names of what failed."""
    with tempfile.TemporaryDirectory() as settings:
        module = pathlib.Path(settings, f"{name}_settings.py")
        text = SETTINGS.format(engine=ENGINES[name])
        module.write_text((LIMITS if name == "cloister" else "") + text)
        done = subprocess.run(
            [sys.executable, "runtests.py", f"--settings={name}_settings", "--parallel=1",
             "--noinput", *folders],
            cwd=source / "tests", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            errors="replace",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (source, PACKAGE, settings))),
                 "PYTHONDONTWRITEBYTECODE": "1"})
    ran = re.search(r"^Ran (\d+) tests", done.stdout, re.MULTILINE)
    if ran is None:
        sys.exit(f"{name}: nothing ran\n{done.stdout[-4000:]}")
    skipped = re.search(r"skipped=(\d+)", done.stdout)
    failed = {of if of.endswith("." + test) else f"{of}.{test}"
              for test, of in ENDED.findall(done.stdout)}
    counted = sum(int(count) for count in
                  re.findall(r"(?<!expected )(?:failures|errors)=(\d+)", done.stdout))
    print(f"{name}: {ran[1]} tests, {skipped[1] if skipped else 0} skipped, {counted} failed",
          flush=True)
    if logs:
        (logs / f"{name}.log").write_text(done.stdout)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("folder", nargs="*")
    parser.add_argument("--logs", type=pathlib.Path, help="keep what was printed in this folder")
    wish = parser.parse_args()
    source = wish.source.resolve()
    theirs = run("sqlite", source, wish.folder, wish.logs)
    ours = run("cloister", source, wish.folder, wish.logs)
    for test in sorted(ours & theirs):
        print(f"both fail: {test}")
    for test in sorted(theirs - ours):
        print(f"only Django's SQLite fails: {test}")
    for test in sorted((ours - theirs) & MEANT.keys()):
        print(f"meant: {test}: {MEANT[test]}")
    wrong = sorted(ours - theirs - MEANT.keys())
    for test in wrong:
        print(f"WRONG: {test}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
