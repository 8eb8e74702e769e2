"""Where config comes from without a node: what cloister.testing or `cloister dev` have set."""

import logging
import os
import sys

from cloister import _local


def config():
    """The values by their keys, and which of them are secrets: none."""
    with _local.lock:
        return dict(_local.config_values), frozenset()


def replace(values):
    """As a live change on a node: values and environment, then who wants to hear of it."""
    with _local.lock:
        former = dict(_local.config_values)
        _local.config_values.clear()
        _local.config_values.update(values)
    changed = {key for key in former.keys() | values.keys() if former.get(key) != values.get(key)}
    for key in changed:
        if key in values:
            os.environ[key] = values[key]
        else:
            os.environ.pop(key, None)
    module = sys.modules.get('cloister.config')
    if changed and module is not None:
        _tell(tuple(module._callbacks), frozenset(changed))


def _tell(callbacks, changed):
    for callback in callbacks:
        try:
            callback(changed)
        except Exception:
            logging.getLogger('cloister').exception(
                'a function that was registered with on_change failed')
