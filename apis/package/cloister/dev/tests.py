"""python3 -m cloister.dev.tests DIR: the unittests of a folder. Exit code 1 when there are none."""

from __future__ import annotations

import sys
import unittest

from cloister.logging import refuse_handlers


def _refused(name, reason):
    print(f'cloister dev: {name} was refused: {reason}', file=sys.__stderr__, flush=True)


def main(folder):
    refuse_handlers(_refused)
    program = unittest.main(module=None, exit=False, argv=['cloister dev --test', 'discover', '-s',
                                                           folder, '-t', folder])
    result = program.result
    if not result.testsRun and result.wasSuccessful() and not result.skipped:
        print(f'cloister dev: no tests: {folder} has no test*.py with a unittest.TestCase',
              file=sys.stderr)
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
