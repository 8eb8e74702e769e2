"""A config that changes while the worker runs: between two requests, never within one."""

import logging
import os
import sys


def _set_environment(former, values):
    for name in former.keys() - values.keys():
        os.environ.pop(name, None)
    for name, value in values.items():
        if former.get(name) != value:
            os.environ[name] = value


def _call(callback, changed):
    try:
        callback(changed)
    except Exception:
        logging.getLogger('cloister.config').exception(
            'a function that was registered with on_change failed; the request goes on')


def change(former, present):
    """Both as _cloister.config() gives them."""
    old, new = former[0], present[0]
    changed = frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    _set_environment(old, new)
    module = sys.modules.get('cloister.config')
    if module is None or not changed:
        return
    for callback in tuple(module._callbacks):
        _call(callback, changed)
