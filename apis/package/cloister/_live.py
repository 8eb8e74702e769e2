"""What a change of the config does to a process that runs: the same on a node and without one."""

import logging
import os
import sys


def _set_environment(former, present):
    for name in former.keys() - present.keys():
        os.environ.pop(name, None)
    for name, value in present.items():
        if former.get(name) != value:
            os.environ[name] = value


def _call(callback, changed):
    try:
        callback(changed)
    except Exception:
        logging.getLogger('cloister.config').exception(
            'a function that was registered with on_change failed; the request goes on')


def apply(former, present):
    """The environment, then who wants to hear of it. Both are values by their keys."""
    changed = frozenset(
        name for name in former.keys() | present.keys() if former.get(name) != present.get(name))
    _set_environment(former, present)
    module = sys.modules.get('cloister.config')
    if module is None or not changed:
        return
    for callback in tuple(module._callbacks):
        _call(callback, changed)
