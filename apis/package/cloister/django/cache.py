"""Django's cache on cloister.cache, for Django 3.2 and later.

    CACHES = {"default": {"BACKEND": "cloister.django.cache.CloisterCache"}}

TIMEOUT, KEY_PREFIX, VERSION and KEY_FUNCTION are heeded. LOCATION and MAX_ENTRIES mean nothing:
the app's quota of bytes decides what goes, the least recently used first. Values are pickled;
whole numbers are kept as such, so that incr() is one call.

When the server does not answer, or the app is over its calls a second, get misses and set does
nothing: an older value may then stay until its timeout.
"""

from __future__ import annotations

import pickle

from cloister import ApiError, QuotaExceeded, cache

from django.core.cache.backends.base import (DEFAULT_TIMEOUT, BaseCache, InvalidCacheKey)

_KEY_MAX = 250
_NUMBER_BITS = 64
_REFUSED = (QuotaExceeded, ApiError)


def _dump(value):
    if type(value) is int and value.bit_length() < _NUMBER_BITS:
        return b'%d' % value
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _load(data, default):
    try:
        return int(data)
    except ValueError:
        pass
    try:
        return pickle.loads(data)
    except Exception:
        # Of a class that is no longer there: as good as not kept.
        return default


class CloisterCache(BaseCache):
    """The app's cache, shared by all of its workers."""

    def __init__(self, server, params):
        super().__init__(params)

    def _name(self, key, version):
        name = self.make_key(key, version=version)
        size = len(name.encode())
        if size > _KEY_MAX:
            raise InvalidCacheKey(
                f'with its prefix and version a key has at most {_KEY_MAX} bytes, '
                f'{name[:40]!r}... has {size}')
        return name

    def _ttl(self, timeout):
        """Seconds, or None: for ever; 0 and less: not at all."""
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout

    def _store(self, name, value, ttl):
        if ttl is not None and ttl <= 0:
            self._forget(name)
            return True
        data = _dump(value)
        try:
            stored = cache.set(name, data, ttl)
        except _REFUSED:
            stored = False
        if not stored:
            # Better no value than the one that was to be replaced.
            self._forget(name)
        return stored

    def _forget(self, name):
        try:
            return cache.delete(name)
        except _REFUSED:
            return False

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        name, ttl, data = self._name(key, version), self._ttl(timeout), _dump(value)
        try:
            if ttl is not None and ttl <= 0:
                return cache.get(name) is None
            return cache.add(name, data, ttl)
        except _REFUSED:
            return False

    def get(self, key, default=None, version=None):
        name = self._name(key, version)
        try:
            data = cache.get(name)
        except _REFUSED:
            return default
        return default if data is None else _load(data, default)

    def set(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self._store(self._name(key, version), value, self._ttl(timeout))

    def touch(self, key, timeout=DEFAULT_TIMEOUT, version=None):
        name, ttl = self._name(key, version), self._ttl(timeout)
        try:
            if ttl is not None and ttl <= 0:
                return cache.delete(name)
            return cache.touch(name, ttl)
        except _REFUSED:
            return False

    def delete(self, key, version=None):
        return self._forget(self._name(key, version))

    def has_key(self, key, version=None):
        name = self._name(key, version)
        try:
            return cache.get(name) is not None
        except _REFUSED:
            return False

    def incr(self, key, delta=1, version=None):
        name = self._name(key, version)
        try:
            value = cache.incr(name, delta)
        except _REFUSED:
            value = None
        if value is None:
            raise ValueError(f"Key '{key}' not found, or no whole number")
        return value

    def get_many(self, keys, version=None):
        names = {self._name(key, version): key for key in keys}
        try:
            found = cache.get_multi(names)
        except _REFUSED:
            return {}
        missing = object()
        loaded = ((names[name], _load(data, missing)) for name, data in found.items())
        return {key: value for key, value in loaded if value is not missing}

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None):
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            self.delete_many(data, version)
            return []
        names = {self._name(key, version): key for key in data}
        try:
            failed = cache.set_multi({name: _dump(data[key]) for name, key in names.items()}, ttl)
        except _REFUSED:
            # One that is too large refuses the call: the others are stored one by one.
            return [key for name, key in names.items() if not self._store(name, data[key], ttl)]
        for name in failed:
            self._forget(name)
        return [names[name] for name in failed]

    def delete_many(self, keys, version=None):
        try:
            cache.delete_multi([self._name(key, version) for key in keys])
        except _REFUSED:
            pass

    def clear(self):
        try:
            cache.clear()
        except _REFUSED:
            pass
