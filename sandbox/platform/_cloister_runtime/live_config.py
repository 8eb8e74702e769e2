"""A config that changes while the worker runs: between two requests, never within one."""

from cloister import _live


def change(former, present):
    """Both as _cloister.config() gives them."""
    _live.apply(former[0], present[0])
