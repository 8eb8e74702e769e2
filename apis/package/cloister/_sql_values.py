"""Values of cloister.db: types of PEP 249, adapters and converters as those of sqlite3."""

from __future__ import annotations

import datetime
import time
from typing import Any, Callable

_PLAIN = frozenset((int, float, str, bytes, bool, type(None)))


class _Type:
    def __init__(self, name, types):
        self._name = name
        self._types = types

    def __eq__(self, other):
        return other in self._types or self is other

    def __hash__(self):
        return hash(self._name)

    def __repr__(self):
        return self._name


STRING = _Type('STRING', (str,))
BINARY = _Type('BINARY', (bytes,))
NUMBER = _Type('NUMBER', (int, float))
DATETIME = _Type('DATETIME', (datetime.date, datetime.datetime, datetime.time))
ROWID = _Type('ROWID', (int,))

Binary = memoryview
Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime


def DateFromTicks(ticks: float) -> datetime.date:  # noqa: N802 (the name is PEP 249's)
    """The date of a time in seconds since 1970."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:  # noqa: N802
    """The time of day of a time in seconds since 1970."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:  # noqa: N802
    """The date and time of a time in seconds since 1970."""
    return Timestamp(*time.localtime(ticks)[:6])

class PrepareProtocol:
    """What `__conform__` of a value is asked for."""


adapters: dict[type, Callable[[Any], Any]] = {}
converters: dict[str, Callable[[bytes], Any]] = {}


def register_adapter(kind: type, adapter: Callable[[Any], Any]) -> None:
    """Values of that type are stored as what `adapter` makes of them."""
    adapters[kind] = adapter


def register_converter(name: str, converter: Callable[[bytes], Any]) -> None:
    """Values of columns of that declared type are read through `converter`, with detect_types."""
    converters[name.upper()] = converter


def _convert_timestamp(value):
    day, _, clock = value.partition(b' ')
    seconds, _, fraction = clock.partition(b'.')
    return datetime.datetime(*map(int, day.split(b'-')), *map(int, seconds.split(b':')),
                             int(fraction[:6].ljust(6, b'0')) if fraction else 0)


register_adapter(datetime.date, lambda value: value.isoformat())
register_adapter(datetime.datetime, lambda value: value.isoformat(' '))
register_converter('date', lambda value: datetime.date(*map(int, value.split(b'-'))))
register_converter('timestamp', _convert_timestamp)


def adapt(value):
    adapter = adapters.get(type(value))
    if adapter is not None:
        return adapter(value)
    if hasattr(value, '__conform__'):
        adapted = value.__conform__(PrepareProtocol)
        if adapted is not None:
            return adapted
    return value


def is_plain(values):
    """Whether all are of types that need no adapter."""
    return all(type(value) in _PLAIN for value in values)


def complete_statement(statement: str) -> bool:
    """Whether the text ends with a whole statement."""
    import sqlite3
    return sqlite3.complete_statement(statement)


def statements(script):
    """The statements of a script: each ends at a semicolon that completes it."""
    begin = 0
    for end in (index + 1 for index, letter in enumerate(script) if letter == ';'):
        if complete_statement(script[begin:end]):
            yield script[begin:end]
            begin = end
    if script[begin:].strip():
        yield script[begin:]


def _bytes_of(value):
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else str(value)).encode()


def converted(row: Any, converters: Any, text_factory: Any) -> tuple[Any, ...]:
    """The row with what converters make of its values, and the factory of its texts."""
    values = []
    for index, value in enumerate(row):
        converter = converters[index] if converters is not None else None
        if converter is not None:
            value = None if value is None else converter(_bytes_of(value))
        elif isinstance(value, str) and text_factory is not str:
            value = text_factory(value.encode())
        values.append(value)
    return tuple(values)
