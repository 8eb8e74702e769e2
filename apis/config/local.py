"""Where config comes from without a node: what cloister.testing or `cloister dev` have set."""

from cloister import _live, _local


def config():
    """The values by their keys, and which of them are secrets: none."""
    with _local.lock:
        return dict(_local.config_values), frozenset()


def replace(values):
    """As a live change on a node."""
    with _local.lock:
        former = dict(_local.config_values)
        _local.config_values.clear()
        _local.config_values.update(values)
    _live.apply(former, dict(values))
