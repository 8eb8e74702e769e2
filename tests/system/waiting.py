"""Waiting for a condition: the tests know no other way to wait."""

import time


def wait_until(condition, what, seconds=20.0):
    """The first true value of condition(); fails after so many seconds with what was waited for
    (a text, or a function that makes it)."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(0.01)
