"""Stand-ins for the node, in the memory of this process: for development and for tests.

Each API has its own in cloister/_local/NAME.py, with a function for each of its calls. What they
have in common is here: the clock, the quotas, and what cloister.testing sets. Everything is safe
to be used by many threads.
"""

from __future__ import annotations

import importlib
import math
import threading
import time

from cloister._local.version import VERSION

__all__ = ['VERSION', 'bind', 'wall_time']

# Held by whoever reads or changes a stand-in.
lock = threading.RLock()


class Clock:
    """The machine's time, moved forward by what a test says."""

    def __init__(self):
        self.offset = 0.0

    def monotonic(self):
        return time.monotonic() + self.offset

    def wall(self):
        return time.time() + self.offset


class Bucket:
    """A rate: so much a second, as much at once. Full at first."""

    def __init__(self, clock, rate):
        self._clock = clock
        self._rate = rate
        self._left = float(rate)
        self._filled = clock.monotonic()

    def take(self, keys, more=0):
        """None when it was there; else (used with this cost, seconds until it may be).

        `more` than there ever is at once begins when all of that is, and the rest is owed.
        """
        cost = keys + more
        now = self._clock.monotonic()
        self._left = min(self._rate, self._left + (now - self._filled) * self._rate)
        self._filled = now
        if max(keys, min(cost, self._rate)) <= self._left:
            self._left -= cost
            return None
        used = math.ceil(self._rate - self._left + cost)
        if self._rate <= 0 or keys > self._rate:
            return used, None
        return used, max(1.0, (min(cost, self._rate) - self._left) / self._rate)

    def owe(self, cost):
        """What was used and is known only now."""
        self._left -= cost

    def give(self, cost):
        """What was taken and not used after all."""
        self._left = min(self._rate, self._left + cost)


clock = Clock()
# What is as on a node until a test says otherwise: quotas by their names, in bytes or a number.
QUOTAS = {
    'cache.bytes': 64 << 20,
    'cache.value': 1 << 20,
    'cache.key': 250,
    'cache.calls': 5000,
    'persistence.bytes': 100 << 30,
    'persistence.object': 5 << 30,
    'persistence.objects': 1_000_000,
    'persistence.writes': 100,
    'persistence.calls': 5000,
    'query.bytes': 1 << 30,
    'query.statement': 5000,
    'query.result': 16 << 20,
    'query.statements': 1000,
    'query.transactions': 16,
    'query.transaction_time': 60000,
}
quotas = dict(QUOTAS)
# APIs whose server "does not answer".
down: set[str] = set()
# The app's config: what `cloister config set` would have set.
config_values: dict[str, str] = {}
# Called by reset(), and when quotas have changed, with the lock held.
resets: list = []
limit_listeners: list = []


def wall_time():
    return clock.wall()


def refusal(quota, used, retry_after=None):
    from cloister import QuotaExceeded
    return QuotaExceeded(quota, quotas[quota], used, retry_after)


def bind(call):
    """The stand-in of a call of apis/calls.def: 'cache.get'."""
    api, _, name = call.partition('.')
    return importlib.import_module('cloister._local.' + api).CALLS[name]


def reset():
    with lock:
        clock.offset = 0.0
        quotas.clear()
        quotas.update(QUOTAS)
        down.clear()
        for each in resets:
            each()
