"""Values that the workers of an app share for a while: fast, bounded, and never the only copy.

Keys are str (as UTF-8) or bytes, of 1 to 250 bytes; values are bytes, of up to 1 MiB. What is there
may go at any time. `cloister.cache.json` takes and gives what JSON can say instead of bytes, and
`@cloister.cache.memoize` keeps what a function returns.

A `ttl` is in seconds, or a timedelta: from a millisecond to 30 days, what is longer counts as 30
days. Without one a value stays as long as there is room.

When the cache's server does not answer, get misses, set and its like return False, incr None.
Beyond a quota of the app each call raises cloister.QuotaExceeded.
"""

from __future__ import annotations

import json as _json_module
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Iterable, Mapping, Union

from cloister._transport import bind as _bind

if TYPE_CHECKING:
    from typing import TypeVar

    from cloister._memoize import memoize as memoize

    _K = TypeVar('_K', bound=Union[str, bytes])

__all__ = ['Key', 'Ttl', 'add', 'cas', 'clear', 'decr', 'delete', 'delete_multi', 'get',
           'get_multi', 'gets', 'incr', 'json', 'memoize', 'replace', 'set', 'set_multi', 'touch']

Key = Union[str, bytes]
Ttl = Union[int, float, timedelta, None]

_SET, _ADD, _REPLACE = range(3)
_STORED = 1
_TTL_MAX_MS = 30 * 24 * 3600 * 1000
# Of one call; the node takes little more, and 1000 keys.
_CALL_BYTES = 1 << 20
_CALL_KEYS = 1000
_ENTRY_BYTES = 8
# No value is larger, whatever the app's quota: it would not fit a call.
_VALUE_BYTES = (1 << 20) + (60 << 10)
# The most that the quota cache.value can be.
_VALUE_MOST = 1 << 20

_get = _bind('cache.get')
_get_multi = _bind('cache.get_multi')
_gets = _bind('cache.gets')
_set = _bind('cache.set')
_set_multi = _bind('cache.set_multi')
_cas = _bind('cache.cas')
_delete = _bind('cache.delete')
_delete_multi = _bind('cache.delete_multi')
_incr = _bind('cache.incr')
_touch = _bind('cache.touch')
_clear = _bind('cache.clear')


def _refuse_key(key):
    if isinstance(key, (str, bytes)):
        raise ValueError('a key of the cache is empty')
    raise TypeError(f'a key of the cache is str or bytes, not {type(key).__name__}')


def _check_key(key):
    if not key or not isinstance(key, (str, bytes)):
        _refuse_key(key)


def _check_value(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        size = len(value) if isinstance(value, bytes) else memoryview(value).nbytes
        if size > _VALUE_BYTES:
            from cloister import QuotaExceeded
            raise QuotaExceeded('cache.value', _VALUE_MOST, size)
        return
    hint = ': encode it, or use cloister.cache.json' if isinstance(value, str) else ''
    raise TypeError(f'a value of the cache is bytes, not {type(value).__name__}{hint}')


def _ttl_ms(ttl):
    if ttl is None:
        return 0
    if isinstance(ttl, timedelta):
        ttl = ttl.total_seconds()
    elif not isinstance(ttl, (int, float)) or isinstance(ttl, bool):
        raise TypeError(
            f'a ttl is a number of seconds, a timedelta or None, not {type(ttl).__name__}')
    if not ttl > 0:
        raise ValueError(f'a ttl is more than 0 seconds, not {ttl}; delete() removes a key')
    if ttl * 1000 >= _TTL_MAX_MS:
        return _TTL_MAX_MS
    return int(ttl * 1000) or 1


def get(key: Key, default: Any = None) -> Any:
    """The value, or `default` when there is none."""
    if not key or key.__class__ not in (str, bytes):
        _check_key(key)
    value = _get(key)
    return default if value is None else value


def gets(key: Key) -> tuple[bytes | None, bytes | None]:
    """The value and a token for cas(), which stands for this value; (None, None): there is none."""
    _check_key(key)
    value, token = _gets(key)
    return (None, None) if value is None else (value, token)


def set(key: Key, value: bytes, ttl: Ttl = None) -> bool:
    """Stores the value. False: it was not stored, and a former one is gone."""
    _check_key(key)
    _check_value(value)
    return _set(_SET, key, value, _ttl_ms(ttl)) == _STORED


def add(key: Key, value: bytes, ttl: Ttl = None) -> bool:
    """Stores the value if there is none. Of many callers at one time one gets True."""
    _check_key(key)
    _check_value(value)
    return _set(_ADD, key, value, _ttl_ms(ttl)) == _STORED


def replace(key: Key, value: bytes, ttl: Ttl = None) -> bool:
    """Stores the value if there is one already."""
    _check_key(key)
    _check_value(value)
    return _set(_REPLACE, key, value, _ttl_ms(ttl)) == _STORED


def cas(key: Key, value: bytes, token: bytes, ttl: Ttl = None) -> bool:
    """Stores the value if the present one is still that of gets(), which gave the token."""
    _check_key(key)
    _check_value(value)
    if not isinstance(token, bytes):
        raise TypeError(f'a token comes from gets() and is bytes, not {type(token).__name__}')
    return _cas(key, value, token, _ttl_ms(ttl)) == _STORED


def delete(key: Key) -> bool:
    """Removes the value; whether there was one."""
    _check_key(key)
    return _delete(key) == 1


def incr(key: Key, delta: int = 1, initial: int | None = None, ttl: Ttl = None) -> int | None:
    """Adds to a value that is a decimal number of 64 bits, and returns the sum.

    Where there is none `initial` is stored as it is, with the ttl; without `initial` nothing is,
    and None comes back. So it does when the value is no number, or would not fit 64 bits. A value
    that is there keeps its ttl.
    """
    _check_key(key)
    return _incr(key, delta, initial, _ttl_ms(ttl))


def decr(key: Key, delta: int = 1, initial: int | None = None, ttl: Ttl = None) -> int | None:
    """incr() with the delta taken away."""
    return incr(key, -delta, initial, ttl)


def touch(key: Key, ttl: Ttl = None) -> bool:
    """Gives the value another ttl; None: as long as there is room. False: there is no value."""
    _check_key(key)
    return _touch(key, _ttl_ms(ttl)) == 1


def _size(data):
    return len(data) if isinstance(data, bytes) else len(data.encode()) \
        if isinstance(data, str) else memoryview(data).nbytes


def _chunks(keys, values=None):
    """Slices of the keys, each as much as one call takes."""
    begin, size = 0, 0
    for index, key in enumerate(keys):
        item = _size(key) + _ENTRY_BYTES + (0 if values is None else _size(values[index]))
        if index > begin and (size + item > _CALL_BYTES or index - begin == _CALL_KEYS):
            yield slice(begin, index)
            begin, size = index, 0
        size += item
    if begin < len(keys):
        yield slice(begin, len(keys))


def _key_list(keys):
    if isinstance(keys, (str, bytes)):
        raise TypeError('keys are wanted, not one key')
    keys = list(dict.fromkeys(keys))
    for key in keys:
        _check_key(key)
    return keys


def get_multi(keys: Iterable[_K]) -> dict[_K, bytes]:
    """The values that are there, by their keys. Each key costs cache.calls one call."""
    keys = _key_list(keys)
    found = {}
    for chunk in _chunks(keys):
        wanted = keys[chunk]
        while wanted:
            # Of the first keys: as many as the answer has room for.
            values = _get_multi(wanted)
            found.update((key, value) for key, value in zip(wanted, values) if value is not None)
            wanted = wanted[len(values):] if values else []
    return found


def set_multi(mapping: Mapping[_K, bytes], ttl: Ttl = None) -> list[_K]:
    """Stores many values; returns the keys that were not stored. Each costs cache.calls one call.

    More than fits one call of the node goes in several: when one is refused, those before it are
    stored.
    """
    keys, values = list(mapping), list(mapping.values())
    for key, value in zip(keys, values):
        _check_key(key)
        _check_value(value)
    ttl_ms = _ttl_ms(ttl)
    failed = []
    for chunk in _chunks(keys, values):
        stored = _set_multi(keys[chunk], values[chunk], ttl_ms)
        failed += [key for key, done in zip(keys[chunk], stored) if done != _STORED]
    return failed


def delete_multi(keys: Iterable[Key]) -> int:
    """Removes many values; how many there were. Each key costs cache.calls one call."""
    keys = _key_list(keys)
    return sum(sum(_delete_multi(keys[chunk])) for chunk in _chunks(keys))


def clear() -> bool:
    """Forgets everything that the app has in the cache."""
    return _clear() == 1


def _check_names(value):
    """dumps() would make text of other keys, and get() return another dict."""
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f'a key of a dict in JSON is str, not {type(name).__name__}')
        value = value.values()
    for inner in value:
        if isinstance(inner, (dict, list, tuple)):
            _check_names(inner)


def _dump(value):
    # First: it finds what contains itself.
    data = _json_module.dumps(value, allow_nan=False, separators=(',', ':')).encode()
    if isinstance(value, (dict, list, tuple)):
        _check_names(value)
    return data


def _load(data, default):
    try:
        return _json_module.loads(data)
    except (ValueError, RecursionError):
        return default


class _Json:
    """The cache with values that JSON can say: None, bool, numbers, str, lists, dicts of str.

    What is no JSON (stored by the calls for bytes, say) is as good as not there.
    """

    delete = staticmethod(delete)
    delete_multi = staticmethod(delete_multi)
    incr = staticmethod(incr)
    decr = staticmethod(decr)
    touch = staticmethod(touch)
    clear = staticmethod(clear)

    def get(self, key: Key, default: Any = None) -> Any:
        """The value, or `default` when there is none."""
        data = get(key)
        return default if data is None else _load(data, default)

    def gets(self, key: Key) -> tuple[Any, bytes | None]:
        """The value and a token for cas(); (None, None): there is none."""
        data, token = gets(key)
        return (None, None) if data is None else (_load(data, None), token)

    def get_multi(self, keys: Iterable[_K]) -> dict[_K, Any]:
        """The values that are there, by their keys."""
        missing = object()
        loaded = ((key, _load(data, missing)) for key, data in get_multi(keys).items())
        return {key: value for key, value in loaded if value is not missing}

    def set(self, key: Key, value: Any, ttl: Ttl = None) -> bool:
        """Stores the value; TypeError or ValueError when JSON cannot say it."""
        return set(key, _dump(value), ttl)

    def add(self, key: Key, value: Any, ttl: Ttl = None) -> bool:
        """Stores the value if there is none."""
        return add(key, _dump(value), ttl)

    def replace(self, key: Key, value: Any, ttl: Ttl = None) -> bool:
        """Stores the value if there is one already."""
        return replace(key, _dump(value), ttl)

    def cas(self, key: Key, value: Any, token: bytes, ttl: Ttl = None) -> bool:
        """Stores the value if the present one is still that of gets(), which gave the token."""
        return cas(key, _dump(value), token, ttl)

    def set_multi(self, mapping: Mapping[_K, Any], ttl: Ttl = None) -> list[_K]:
        """Stores many values; returns the keys that were not stored."""
        return set_multi({key: _dump(value) for key, value in mapping.items()}, ttl)


json: _Json = _Json()


def __getattr__(name: str):
    if name == 'memoize':
        from cloister._memoize import memoize
        globals()['memoize'] = memoize
        return memoize
    raise AttributeError(f"module 'cloister.cache' has no attribute '{name}'")
