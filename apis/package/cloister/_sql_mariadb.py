"""What cloister.db does when the app's database is on a MariaDB server.

SQL goes there with a ? for each parameter, in the order of their places, and with a cast for each
value that is no plain number, text or bytes.
"""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from typing import Any, Iterator

from cloister._sql_marks import (Typed, check_counts, kept, not_blank, or_text, parsed, types_of,
                                 values_by_name)

__all__ = ['adapted', 'converters_of', 'numbered', 'statements', 'written_out']

_DIGITS_MAX, _SCALE_MAX = 65, 38


def _number(value):
    """With as many digits as it has."""
    if not value.is_finite():
        return str(value)
    _, digits, exponent = value.as_tuple()
    scale = max(0, -exponent)
    count = max(len(digits) + max(0, exponent), scale, 1)
    text = format(value, 'f')
    if count > _DIGITS_MAX or scale > _SCALE_MAX:
        return text
    return Typed(text, f'DECIMAL({count}, {scale})')


def _moment(value):
    """In UTC, which is the server's zone."""
    if value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return Typed(value.isoformat(' '), 'DATETIME(6)')


def _interval(value):
    seconds, micros = divmod(abs(value) // datetime.timedelta(microseconds=1), 1000000)
    sign = '-' if value < datetime.timedelta(0) else ''
    hours, minutes = divmod(seconds // 60, 60)
    return Typed(f'{sign}{hours:02}:{minutes:02}:{seconds % 60:02}.{micros:06}', 'TIME(6)')


_ADAPTERS = {
    bool: int,
    decimal.Decimal: _number,
    datetime.date: lambda value: Typed(value.isoformat(), 'DATE'),
    datetime.time: lambda value: Typed(value.replace(tzinfo=None).isoformat(), 'TIME(6)'),
    datetime.datetime: _moment,
    datetime.timedelta: _interval,
    uuid.UUID: str,
}


def adapted(value: Any) -> Any:
    """The value, Typed where the server could not tell what it is."""
    adapter = _ADAPTERS.get(type(value))
    return value if adapter is None else adapter(value)


# --- parameters

# What may hold marks that are none, and the marks; `escaped` is of other servers.
_TOKEN = re.compile(r"""
    '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z)
    | --(?=[\s]|\Z)[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z) | (?P<word>[^\W\d][\w$]*)
    | (?P<end>;) | (?P<escaped>(?!)) | \?(?P<number>\d*) | :(?P<name>[^\W\d]\w*)
    """, re.VERBOSE | re.DOTALL)


def _tokens(sql):
    return _TOKEN.finditer(sql)


@kept
def _rendered(sql, named, types):
    """The statement with a ? for each mark, and the parameters in the order of these."""
    texts, marks, rest = parsed(sql, named, _tokens)
    names = list(dict.fromkeys(marks)) if named else []
    order = [names.index(mark) if named else mark for mark in marks]
    pieces = []
    for text, index in zip(texts, order):
        kind = types[index] if index < len(types) else None
        pieces.append(text + ('?' if kind is None else f'CAST(? AS {kind})'))
    return ''.join(pieces) + rest, order, names


def numbered(sql: str, many: bool, parameters: Any) -> tuple[str, Any]:
    """As that of the other servers: here each mark has a value of its own."""
    sets = parameters if many else [parameters]
    named = bool(sets) and isinstance(sets[0], dict)
    if named:
        sets = values_by_name(sets, _rendered(sql, True, ())[2])
    else:
        check_counts(sql, sets, _tokens)
    text, order, _ = _rendered(sql, named, types_of(sets))
    sets = [[values[index] for index in order] for values in sets]
    return text, sets if many else sets[0]


_TRIGGER = re.compile(r'\s*CREATE\s+(?:OR\s+REPLACE\s+)?TRIGGER\b', re.IGNORECASE)
# What END alone, or END CASE, is the end of; the others end with END and their own word.
_OPENS, _OTHERS = {'BEGIN', 'CASE'}, {'IF', 'LOOP', 'REPEAT', 'WHILE', 'FOR'}


def written_out(sql: str, many: bool, parameters: Any, message: str) -> None:
    """None: this server takes parameters wherever a value may stand."""


def statements(script: str) -> Iterator[str]:
    """The statements of a script, without the semicolons between them; a trigger is one."""
    begin, depth, before = 0, 0, ''
    for found in _tokens(script):
        word = (found['word'] or '').upper()
        if word:
            depth += _change(word, before)
            before = word
        if found['end'] is None:
            continue
        before = ''
        if depth > 0 and _TRIGGER.match(_without_comments(script[begin:])):
            continue
        depth = 0
        yield from not_blank(script[begin:found.start()])
        begin = found.end()
    yield from not_blank(script[begin:])


def _change(word, before):
    if before == 'END':
        return 1 if word in _OTHERS else 0
    if word == 'END':
        return -1
    return 1 if word in _OPENS else 0


def _without_comments(text):
    return re.sub(r'\A(?:\s+|--[^\n]*|\#[^\n]*|/\*.*?\*/)+', '', text, flags=re.DOTALL)


# --- values that come back

_CLOCK = re.compile(r'(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?')


def _clock(text):
    """The time of a day, or what is no such time as a timedelta."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return text
    sign, hours, minutes, seconds, fraction = found.groups()
    span = datetime.timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds),
                              microseconds=int((fraction or '').ljust(6, '0')))
    if sign:
        return -span
    return (datetime.datetime.min + span).time() if span < datetime.timedelta(1) else span


_CONVERTERS = {
    'clock': _clock,
    'date': or_text(datetime.date.fromisoformat),
    'int': int,
    'numeric': decimal.Decimal,
    'timestamp': or_text(datetime.datetime.fromisoformat),
}


def converters_of(columns: Any) -> list[Any] | None:
    """What makes a value of each column's; None: nothing has to be done."""
    found = [_CONVERTERS.get(declared) for _, declared in columns]
    return found if any(found) else None
