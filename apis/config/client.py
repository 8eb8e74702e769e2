"""The app's config: what `cloister config` and `cloister secrets` have set, read-only.

    import cloister

    cloister.config['DATABASE_URL']
    cloister.config.get_int('PAGE_SIZE', 20)

It is a mapping of names to text. Every key is an environment variable as well.
"""

from __future__ import annotations

import collections.abc
import json
import sys
import types
from typing import TYPE_CHECKING, Any, Callable

from cloister import _transport

if TYPE_CHECKING:
    from typing import Iterator, TypeVar

    _F = TypeVar('_F', bound=Callable[[frozenset[str]], object])

__all__ = ['ConfigError', 'get', 'get_bool', 'get_float', 'get_int', 'get_json', 'get_list',
           'get_str', 'on_change']

_REQUIRED: Any = object()
_TRUE = frozenset(('1', 'true', 'yes', 'on'))
_FALSE = frozenset(('0', 'false', 'no', 'off'))


class ConfigError(Exception):
    """A key is missing, or its value does not have the form that was asked for.

    Names the key. Never shows the value, which may be a secret.
    """


class _MissingKey(ConfigError, KeyError):
    __str__ = Exception.__str__


def _values() -> dict[str, str]:
    return _transport.config()[0]


def _missing(key):
    return _MissingKey(f'the config has no {key}; `cloister config set APP {key}=VALUE` sets it, '
                       f'`cloister secrets set APP {key}` where it is a secret')


def _read(key, default, form, parse):
    """The value of `key` as `parse` makes it. It answers None for text of another form."""
    text = _values().get(key)
    if text is None:
        if default is _REQUIRED:
            raise _missing(key)
        return default
    value = parse(text)
    if value is None:
        # Not where the other error is caught: its text has the value in it.
        raise ConfigError(f'{key} in the config is not {form}')
    return value[0]


def _parsed(parse):
    def parsed(text):
        try:
            return (parse(text),)
        except ValueError:
            return None

    return parsed


def _bool_of(text):
    word = text.strip().lower()
    if word in _TRUE:
        return (True,)
    return (False,) if word in _FALSE else None


class _Config(types.ModuleType):
    """The module itself is the mapping."""

    def __getitem__(self, key: str) -> str:
        try:
            return _values()[key]
        except KeyError:
            pass
        raise _missing(key)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(_values()))

    def __len__(self) -> int:
        return len(_values())

    def __contains__(self, key: object) -> bool:
        return key in _values()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, collections.abc.Mapping):
            return dict(self.items()) == dict(other.items())
        return NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f'<cloister.config with {len(self)} keys>'

    keys: Any = collections.abc.Mapping.keys
    items: Any = collections.abc.Mapping.items
    values: Any = collections.abc.Mapping.values


collections.abc.Mapping.register(_Config)


def get(key: str, default: Any = None) -> Any:
    """The value of `key`, or `default`."""
    return _values().get(key, default)


def get_str(key: str, default: Any = _REQUIRED) -> Any:
    """The value of `key`, which must be there unless there is a default."""
    return _read(key, default, 'text', lambda text: (text,))


def get_int(key: str, default: Any = _REQUIRED) -> Any:
    """A whole number."""
    return _read(key, default, 'a whole number', _parsed(int))


def get_float(key: str, default: Any = _REQUIRED) -> Any:
    """A number."""
    return _read(key, default, 'a number', _parsed(float))


def get_bool(key: str, default: Any = _REQUIRED) -> Any:
    """1, true, yes, on; 0, false, no, off."""
    return _read(key, default, 'one of true, false, 1, 0, yes, no, on, off', _bool_of)


def get_json(key: str, default: Any = _REQUIRED) -> Any:
    """What JSON says."""
    return _read(key, default, 'JSON', _parsed(json.loads))


def get_list(key: str, default: Any = _REQUIRED) -> Any:
    """The parts between commas, without white space around them; empty ones do not count."""
    return _read(key, default, 'a list',
                 lambda text: ([part.strip() for part in text.split(',') if part.strip()],))


_callbacks: list[Callable[[frozenset[str]], object]] = []


def on_change(function: _F) -> _F:
    """Has `function` called before the first request that sees another config.

    It gets the names of the keys that changed. For apps whose manifest says
    `[config] reload = "live"`; others get new workers. A decorator, or a plain call.
    """
    _callbacks.append(function)
    return function


sys.modules[__name__].__class__ = _Config
