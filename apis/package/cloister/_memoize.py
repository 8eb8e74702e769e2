"""cloister.cache.memoize: what a function returned, kept in the cache."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import hashlib
import inspect
import pickle
import uuid
from typing import TYPE_CHECKING, Any, Callable

import cloister
from cloister import cache
from cloister._transport import wall_time

if TYPE_CHECKING:
    from typing import ParamSpec, Protocol, TypeVar

    _Args = ParamSpec('_Args')
    _Result = TypeVar('_Result')

    class Memoized(Protocol[_Args, _Result]):
        """A function that is memoized."""

        uncached: Callable[_Args, _Result]

        def __call__(self, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
            """What is kept, else what the function returns."""

        def __get__(self, instance: Any, owner: Any = None) -> Callable[..., _Result]:
            """As a method."""

        def invalidate(self, *args: _Args.args, **kwargs: _Args.kwargs) -> bool:
            """Forgets what is kept for these arguments; whether there was something."""

        def cache_key(self, *args: _Args.args, **kwargs: _Args.kwargs) -> bytes:
            """Where it is kept."""

# Longer names go in as their digest.
_KEY_TEXT_MAX = 180
# In the last part of a value's time one caller makes it anew, while the others get the old one.
_REFRESH_PART = 0.1
_REFRESH_SUFFIX = b':refresh'
_MISS = object()


def _parts(values):
    return ','.join(map(_text_of, values))


def _text_of(value):
    """An argument as text that no other one has; TypeError where that cannot be said."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes):
        return repr(value)
    if isinstance(value, enum.Enum):
        return f'{_name_of(kind)}.{value.name}'
    if kind in (decimal.Decimal, uuid.UUID, datetime.timedelta):
        return repr(value)
    if kind in (datetime.datetime, datetime.date, datetime.time):
        return f'{kind.__name__}({value.isoformat()})'
    if kind in (tuple, list):
        return f'{kind.__name__}({_parts(value)})'
    if kind in (set, frozenset):
        return f'{kind.__name__}({",".join(sorted(map(_text_of, value)))})'
    if kind is dict:
        pairs = (f'{_text_of(key)}:{_text_of(item)}' for key, item in value.items())
        return f'dict({",".join(sorted(pairs))})'
    if isinstance(value, type):
        return f'class {_name_of(value)}'
    raise TypeError(
        f'memoize cannot tell one {_name_of(kind)} from another: say key=, a function of the '
        'arguments that returns what the result depends on')


def _name_of(thing):
    return f'{thing.__module__}.{thing.__qualname__}'


class _Memo:
    """What is known of one function that is memoized."""

    def __init__(self, function, ttl, key, version):
        self.function = function
        self.ttl = ttl
        self._key = key
        self._signature = inspect.signature(function) if key is None else None
        self._prefix = f'{_name_of(function)}|{"" if version is None else _text_of(version)}|'

    def cache_key(self, args, kwargs):
        if self._key is None:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            text = self._prefix + _parts(bound.arguments.values())
        else:
            text = self._prefix + _text_of(self._key(*args, **kwargs))
        data = text.encode('utf-8', 'backslashreplace')
        if len(data) > _KEY_TEXT_MAX:
            data = hashlib.sha256(data).hexdigest().encode()
        return b'memo:' + data

    def read(self, key):
        """What is kept, or _MISS."""
        try:
            data = cache.get(key)
            if data is None:
                return _MISS
            refresh_at, result = pickle.loads(data)
            if refresh_at is not None and wall_time() >= refresh_at and self._is_mine(key):
                return _MISS
            return result
        except Exception:
            # Over a quota, or a value of which a class has changed since.
            return _MISS

    def _is_mine(self, key):
        return cache.add(key + _REFRESH_SUFFIX, b'', self.ttl * _REFRESH_PART)

    def write(self, key, result):
        refresh_at = None
        if self.ttl is not None:
            refresh_at = wall_time() + self.ttl * (1 - _REFRESH_PART)
        try:
            data = pickle.dumps((refresh_at, result), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            name = _name_of(self.function)
            raise TypeError(f'what {name} returned cannot be kept: {error}') from error
        try:
            cache.set(key, data, self.ttl)
        except (cloister.QuotaExceeded, cloister.ApiError):
            pass


def memoize(ttl: cache.Ttl = None, key: Callable[..., Any] | None = None,
            version: Any = None
            ) -> Callable[[Callable[_Args, _Result]], Memoized[_Args, _Result]]:
    """Keeps what a function returns, by its arguments, for all workers of the app.

        @cloister.cache.memoize(ttl=60)
        def price(item, currency="EUR"): ...

    The function is called when nothing is kept, when the cache does not answer and when the app is
    over a quota of it. None is kept as well, exceptions are not. Shortly before the ttl ends one
    caller makes the value anew, while the others get the former one.

    Arguments are None, bool, numbers, str, bytes, dates, UUIDs, enums, classes, and lists, tuples,
    sets and dicts of those. For others, and for methods, `key` is a function that takes the same
    arguments and returns what the result depends on. Another `version` forgets what was kept.

    Functions are told apart by module and name: one that is defined anew by each call of another
    function shares its results with its like, unless `version` tells them apart.

    The function that comes back has `uncached`, `invalidate(*args)`, which forgets one result, and
    `cache_key(*args)`.
    """
    if callable(ttl):
        raise TypeError('memoize is used with parentheses: @cloister.cache.memoize(ttl=60)')
    if isinstance(ttl, datetime.timedelta):
        ttl = ttl.total_seconds()
    cache._ttl_ms(ttl)

    def decorate(function):
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function) \
                or inspect.isasyncgenfunction(function):
            raise TypeError(f'{_name_of(function)} returns nothing that can be kept: memoize is '
                            'for plain functions')
        if '<lambda>' in function.__qualname__:
            raise TypeError('memoize tells functions apart by their names, and a lambda has none: '
                            'use def')
        memo = _Memo(function, ttl, key, version)

        @functools.wraps(function)
        def memoized(*args, **kwargs):
            name = memo.cache_key(args, kwargs)
            result = memo.read(name)
            if result is _MISS:
                result = function(*args, **kwargs)
                memo.write(name, result)
            return result

        def invalidate(*args, **kwargs):
            return cache.delete(memo.cache_key(args, kwargs))

        def cache_key(*args, **kwargs):
            return memo.cache_key(args, kwargs)

        memoized.uncached = function
        memoized.invalidate = invalidate
        memoized.cache_key = cache_key
        return memoized

    return decorate
