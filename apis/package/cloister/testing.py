"""For an app's own unit tests: what the stand-ins of `cloister` are to be like.

    class CartTest(unittest.TestCase):
        def setUp(self):
            cloister.testing.reset()

        def test_a_price_is_kept_for_a_minute(self):
            ...
            cloister.testing.advance(60)

Not in a worker: there the node is what it is.
"""

from __future__ import annotations

import contextlib
from typing import Iterator, Mapping

from cloister import _local

__all__ = ['advance', 'cache_down', 'limits', 'reset', 'set_config']


def reset() -> None:
    """An empty cache, no objects, no config, the default quotas, the machine's time."""
    _local.reset()
    set_config()


def advance(seconds: float) -> None:
    """Lets time pass for what expires, and for quotas a second. time.time() stays as it is."""
    if seconds < 0:
        raise ValueError('time does not go back')
    with _local.lock:
        _local.clock.offset += seconds


def limits(**quotas: int) -> None:
    """Sets quotas until reset(): limits(cache_calls=10, cache_bytes=4096).

    Names are those of `cloister quota show`, with _ instead of the dot.
    """
    known = {name.replace('.', '_'): name for name in _local.QUOTAS}
    for name, value in quotas.items():
        if name not in known:
            raise TypeError(f"no quota '{name}': there are {', '.join(sorted(known))}")
        if not isinstance(value, int) or value < 0:
            raise ValueError(f'{name} is a number from 0, not {value!r}')
    with _local.lock:
        _local.quotas.update((known[name], value) for name, value in quotas.items())
        for changed in _local.limit_listeners:
            changed()


@contextlib.contextmanager
def cache_down() -> Iterator[None]:
    """Within it the cache's server does not answer. What was there is gone afterwards."""
    from cloister._local import cache as stand_in
    with _local.lock:
        _local.down.add('cache')
    try:
        yield
    finally:
        with _local.lock:
            _local.down.discard('cache')
            stand_in.forget()


def set_config(values: Mapping[str, str] | None = None, **more: str) -> None:
    """Replaces the app's config: names and texts, in cloister.config and in os.environ."""
    merged = {**(values or {}), **more}
    for name, value in merged.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f'names and values of config are str: {name!r}={value!r}')
    from cloister._local import config as stand_in
    stand_in.replace(merged)
