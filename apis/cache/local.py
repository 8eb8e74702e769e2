"""The cache's stand-in: its calls as the node answers them, in this process's memory.

What docs/apps/cache.md says of limits, quotas, expiry and eviction holds here as well, with one
difference: the entry that goes first is exactly the least recently used one.
"""

from __future__ import annotations

import collections
import hashlib
import re

from cloister import _local

# What an entry costs beside its value and twice its key: about as much as on a node.
ENTRY_COST = 300
# What goes beyond the first of so many bytes, of a call and of its answer, counts as further calls;
# what stands around them costs nothing.
BYTES_PER_CALL = 16384
FREE_BYTES = 512
LIST_MAX = 1000
TTL_MAX_MS = 30 * 24 * 3600 * 1000
_SET, _ADD, _REPLACE = range(3)
_CAS_FAILED, _CAS_STORED, _CAS_CHANGED, _CAS_MISSING = range(4)
_INTEGER = re.compile(rb'0|-?[1-9][0-9]{0,18}')
_I64_MIN, _I64_MAX = -(1 << 63), (1 << 63) - 1


def cost(key, value):
    return ENTRY_COST + 2 * len(key) + len(value)


def _calls_of(size):
    return max(0, -(-(size - FREE_BYTES) // BYTES_PER_CALL) - 1)


class _Entries:
    """Keys and values, the least recently used first."""

    def __init__(self):
        self._values = collections.OrderedDict()  # key: (value, when it expires or None)
        self.used = 0
        self._calls = None

    def clear(self):
        self._values.clear()
        self.used = 0

    def begin_metering(self):
        self._calls = None

    def meter(self, count, size=0):
        if self._calls is None:
            self._calls = _local.Bucket(_local.clock, _local.quotas['cache.calls'])
        refused = self._calls.take(count, _calls_of(size))
        if refused is not None:
            raise _local.refusal('cache.calls', *refused)

    def owe(self, size):
        self._calls.owe(_calls_of(size))

    def give_back(self, count):
        self._calls.give(count)

    def find(self, key):
        """(value, when it expires); None when there is none."""
        entry = self._values.get(key)
        if entry is None:
            return None
        if entry[1] is not None and entry[1] <= _local.clock.monotonic():
            self.drop(key)
            return None
        self._values.move_to_end(key)
        return entry

    def drop(self, key):
        value, _ = self._values.pop(key)
        self.used -= cost(key, value)

    def store(self, key, value, expires):
        """Whether there is room for it, when all others may go."""
        if key in self._values:
            self.drop(key)
        needed = cost(key, value)
        if needed > _local.quotas['cache.bytes']:
            return False
        while self.used + needed > _local.quotas['cache.bytes']:
            self.drop(next(iter(self._values)))
        self._values[key] = value, expires
        self.used += needed
        return True


_entries = _Entries()
_local.resets += [_entries.clear, _entries.begin_metering]
_local.limit_listeners.append(_entries.begin_metering)


def forget():
    """What a server that was away has forgotten."""
    _entries.clear()


def _bytes(value):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f'bytes or str are wanted, not {type(value).__name__}')


def _key(key):
    key = _bytes(key)
    if not key:
        raise ValueError('a key is empty')
    if len(key) > _local.quotas['cache.key']:
        raise _local.refusal('cache.key', len(key))
    return key


def _value(value):
    value = _bytes(value)
    if len(value) > _local.quotas['cache.value']:
        raise _local.refusal('cache.value', len(value))
    return value


def _check_room(key, value):
    """Refuses what would not fit if all other entries went."""
    if cost(key, value) > _local.quotas['cache.bytes']:
        raise _local.refusal('cache.bytes', cost(key, value))


def _number(value, low, high):
    if not isinstance(value, int):
        raise TypeError(f'an int is wanted, not {type(value).__name__}')
    if not low <= value <= high:
        raise OverflowError(f'{value} does not fit 64 bits')
    return value


def _expires(ttl_ms):
    ttl_ms = _number(ttl_ms, 0, (1 << 64) - 1)
    if ttl_ms == 0:
        return None
    return _local.clock.monotonic() + min(ttl_ms, TTL_MAX_MS) / 1000


def _list(values, one):
    values = [one(value) for value in values]
    if len(values) > LIST_MAX:
        raise ValueError(f'a call takes {LIST_MAX} keys at most')
    return values


def _is_down():
    return 'cache' in _local.down


def get(key):
    key = _key(key)
    with _local.lock:
        _entries.meter(1)
        entry = None if _is_down() else _entries.find(key)
        _entries.owe(0 if entry is None else len(entry[0]))
        return None if entry is None else entry[0]


def get_multi(keys):
    keys = _list(keys, _key)
    with _local.lock:
        _entries.meter(len(keys))
        answer, size = [], 0
        for key in keys:
            entry = None if _is_down() else _entries.find(key)
            size += 0 if entry is None else len(entry[0])
            if answer and size > 1 << 20:
                break
            answer.append(None if entry is None else entry[0])
        # The rest is asked for, and metered, again.
        _entries.give_back(len(keys) - len(answer))
        _entries.owe(sum(len(value) + 5 for value in answer if value is not None))
        return answer


def _token(value):
    return b'%d:%s' % (len(value), hashlib.sha1(value).hexdigest().encode())


def _hashed(token):
    """Bytes that are looked at to tell whether the token is that of a value."""
    length = token.partition(b':')[0]
    return min(int(length), 1 << 20) if re.fullmatch(rb'[0-9]{1,8}', length) else 0


def gets(key):
    value = get(key)
    return (None, b'') if value is None else (value, _token(value))


def set(mode, key, value, ttl_ms):
    key, value, expires = _key(key), _value(value), _expires(ttl_ms)
    _check_room(key, value)
    with _local.lock:
        _entries.meter(1, len(key) + len(value))
        if _is_down():
            return 0
        is_there = mode != _SET and _entries.find(key) is not None
        if (mode == _ADD and is_there) or (mode == _REPLACE and not is_there):
            return 0
        return int(_entries.store(key, value, expires))


def set_multi(keys, values, ttl_ms):
    keys, values, expires = _list(keys, _key), _list(values, _value), _expires(ttl_ms)
    if len(keys) != len(values):
        raise ValueError('there are not as many values as keys')
    for key, value in zip(keys, values):
        _check_room(key, value)
    with _local.lock:
        size = sum(len(key) + len(value) + 8 for key, value in zip(keys, values))
        _entries.meter(len(keys), size)
        if _is_down():
            return [0] * len(keys)
        return [int(_entries.store(key, value, expires)) for key, value in zip(keys, values)]


def cas(key, value, token, ttl_ms):
    key, value, token, expires = _key(key), _value(value), _bytes(token), _expires(ttl_ms)
    _check_room(key, value)
    with _local.lock:
        _entries.meter(1, len(key) + len(value) + _hashed(token))
        if _is_down():
            return _CAS_FAILED
        entry = _entries.find(key)
        if entry is None:
            return _CAS_MISSING
        if _token(entry[0]) != token:
            return _CAS_CHANGED
        return _CAS_STORED if _entries.store(key, value, expires) else _CAS_FAILED


def _delete(key):
    if _is_down() or _entries.find(key) is None:
        return 0
    _entries.drop(key)
    return 1


def delete(key):
    key = _key(key)
    with _local.lock:
        _entries.meter(1)
        return _delete(key)


def delete_multi(keys):
    keys = _list(keys, _key)
    with _local.lock:
        _entries.meter(len(keys))
        return [_delete(key) for key in keys]


def _integer(value):
    if not _INTEGER.fullmatch(value):
        return None
    number = int(value)
    return number if _I64_MIN <= number <= _I64_MAX else None


def incr(key, delta, initial, ttl_ms):
    key, expires = _key(key), _expires(ttl_ms)
    delta = _number(delta, _I64_MIN, _I64_MAX)
    if initial is not None:
        initial = _number(initial, _I64_MIN, _I64_MAX)
    with _local.lock:
        _entries.meter(1)
        if _is_down():
            return None
        entry = _entries.find(key)
        if entry is None:
            stored = initial is not None and _entries.store(key, b'%d' % initial, expires)
            return initial if stored else None
        number = _integer(entry[0])
        if number is None or not _I64_MIN <= number + delta <= _I64_MAX:
            return None
        _entries.store(key, b'%d' % (number + delta), entry[1])
        return number + delta


def touch(key, ttl_ms):
    key, expires = _key(key), _expires(ttl_ms)
    with _local.lock:
        _entries.meter(1)
        entry = None if _is_down() else _entries.find(key)
        if entry is None:
            return 0
        _entries.store(key, entry[0], expires)
        return 1


def clear():
    with _local.lock:
        _entries.meter(1)
        # Needs no server: what was stored before is read no more, whenever that comes back.
        _entries.clear()
        return 1


CALLS = {each.__name__: each for each in (
    get, get_multi, gets, set, set_multi, cas, delete, delete_multi, incr, touch, clear)}
