"""The stand-ins keep what the cases say; tests/system/conformance_test.py asks it of a node."""

import cases
import cloister
import object_cases
import pytest


@pytest.mark.parametrize("name", cases.CASES)
def test_case(name):
    cloister.testing.reset()
    cloister.testing.set_config(cases.CONFIG)
    cloister.testing.limits(persistence_writes=object_cases.WRITES)
    cases.CASES[name]()
