"""What cloister.db does when the app's database is on a PostgreSQL server rather than SQLite.

SQL goes to a server with numbered parameters ($1), which the marks of both styles become here, and
with a type for each value that is no plain number, text or bytes. Values come back as text with the
name of their type. Where the server takes no parameter, or cannot tell what one is to be, literals
stand in the place of the marks.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import os
import re
import sys
import uuid
from typing import Any, Iterator

from cloister._sql_marks import (Typed, check_counts, kept, not_blank, or_text, parsed, types_of,
                                 values_by_name)

__all__ = ['Typed', 'adapted', 'converted', 'converters_of', 'driver', 'engine', 'literal',
           'numbered', 'statements', 'written_out']

# A longer value stays a parameter.
_LITERAL_MAX = 8192


def engine() -> str:
    """Which SQL the database speaks: 'sqlite', 'postgresql' or 'mariadb'. The node says so."""
    return os.environ.get('CLOISTER_QUERY_ENGINE', 'sqlite')


def driver() -> Any:
    """The module with what is the server's own: this one, or MariaDB's."""
    if engine() != 'mariadb':
        return sys.modules[__name__]
    from cloister import _sql_mariadb
    return _sql_mariadb


def _interval(value):
    return Typed(f'{value.days} days {value.seconds} seconds {value.microseconds} microseconds',
                 'interval')


def _moment(value):
    return Typed(value.isoformat(' '), 'timestamp' if value.tzinfo is None else 'timestamptz')


def _element(value):
    if value is None:
        return 'NULL'
    if isinstance(value, (list, tuple)):
        return '{' + ','.join(map(_element, value)) + '}'
    if isinstance(value, (bytes, bytearray, memoryview)):
        return rf'"\\x{bytes(value).hex()}"'
    text = str(adapted(value))
    return '"' + text.replace('\\', r'\\').replace('"', r'\"') + '"'


def _array(value):
    """An array whose type the server finds out."""
    return Typed(_element(value), None)


_ADAPTERS = {
    list: _array,
    tuple: _array,
    bool: lambda value: Typed('true' if value else 'false', 'boolean'),
    decimal.Decimal: lambda value: Typed(value, 'numeric'),
    datetime.date: lambda value: Typed(value.isoformat(), 'date'),
    datetime.time: lambda value: Typed(value.isoformat(),
                                       'time' if value.tzinfo is None else 'timetz'),
    datetime.datetime: _moment,
    datetime.timedelta: _interval,
    uuid.UUID: lambda value: Typed(value, 'uuid'),
}


def adapted(value: Any) -> Any:
    """The value, Typed where the server could not tell what it is."""
    adapter = _ADAPTERS.get(type(value))
    return value if adapter is None else adapter(value)


# --- parameters

# What may hold marks that are none, and the marks. A word takes its letters along, so that an E
# before a string is one only where it begins a word.
_TOKEN = re.compile(r"""
    [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z)
    | --[^\n]* | \$(?P<tag>[^\W\d]\w*|)\$.*?(?:\$(?P=tag)\$|\Z) | [^\W\d][\w$]* | ::
    | (?P<comment>/\*) | (?P<end>;)
    | (?P<escaped>\?\?) | \?(?P<number>\d*) | :(?P<name>[^\W\d]\w*)
    """, re.VERBOSE | re.DOTALL)


def _comment_end(sql, begin):
    """Behind a comment; they nest."""
    depth = 0
    for found in re.compile(r'/\*|\*/').finditer(sql, begin):
        depth += 1 if found.group() == '/*' else -1
        if depth == 0:
            return found.end()
    return len(sql)


def _tokens(sql):
    place = 0
    while (found := _TOKEN.search(sql, place)) is not None:
        place = found.end() if found['comment'] is None else _comment_end(sql, found.start())
        yield found


@kept
def _rendered(sql, named, types):
    """The statement with numbers, and the names of its parameters in their order."""
    texts, marks, rest = parsed(sql, named, _tokens)
    names = list(dict.fromkeys(mark for mark in marks if isinstance(mark, str)))
    pieces = []
    for text, mark in zip(texts, marks):
        pieces.append(text)
        if mark is None:
            pieces.append('?')
            continue
        index = names.index(mark) if named else mark
        kind = types[index] if index < len(types) else None
        pieces.append(f'${index + 1}' if kind is None else f'CAST(${index + 1} AS {kind})')
    return ''.join(pieces) + rest, names


def numbered(sql: str, many: bool, parameters: Any) -> tuple[str, Any]:
    """The statement with numbered marks, and its parameters in their order.

    `parameters` are adapted: a sequence or a mapping, of which there is a list when it is `many`.
    KeyError: a name that there is no value for. ValueError: not as many values as marks.
    """
    sets = parameters if many else [parameters]
    named = bool(sets) and isinstance(sets[0], dict)
    if named:
        sets = values_by_name(sets, _rendered(sql, True, ())[1])
    else:
        # Who numbers parameters has no marks.
        check_counts(sql, sets, _tokens, own_marks='$')
    text = _rendered(sql, named, types_of(sets))[0]
    return text, sets if many else sets[0]


def literal(value: Any) -> str:
    """An adapted value as it is written in SQL."""
    if value is None:
        return 'NULL'
    if isinstance(value, (int, float)):
        text = str(value if isinstance(value, float) else int(value))
        if text.strip('-') in ('inf', 'nan'):
            return f"CAST('{text}' AS float8)"
        # Two minus signs begin a comment.
        return f'({text})' if text.startswith('-') else text
    if isinstance(value, bytes):
        return f"CAST('\\x{value.hex()}' AS bytea)"
    quoted = "'" + str(value).replace("'", "''") + "'"
    if '\\' in quoted:
        quoted = 'E' + quoted.replace('\\', r'\\')
    kind = getattr(value, 'sql_type', None)
    return quoted if kind is None else f'CAST({quoted} AS {kind})'


# Statements that define something take no parameters (there is no parameter $1), and of one that
# goes to a function of any type the server asks what it is, which of a literal it does not.
_NO_PARAMETER = re.compile(r'\(SQLSTATE 42P(?:02|08|18)\)\Z')


def written_out(sql: str, many: bool, parameters: Any, message: str) -> tuple[str, Any] | None:
    """The statement for another try, after the server has refused it with that message; or None.

    `parameters` are adapted, as for numbered().
    """
    if not parameters or _NO_PARAMETER.search(message) is None:
        return None
    named = isinstance(parameters[0] if many else parameters, dict)
    texts, marks, rest = parsed(sql, named, _tokens)
    if not any(mark is not None for mark in marks):
        return None
    if many:
        # Rows have one statement: what was not told is text.
        sets = values_by_name(parameters, _rendered(sql, True, ())[1]) if named else parameters
        kinds = tuple(kind or 'text' if _are_texts(sets, index) else kind
                      for index, kind in enumerate(types_of(sets)))
        return _rendered(sql, named, kinds)[0], sets
    pieces, left = [], []
    for text, mark in zip(texts, marks):
        pieces.append(text)
        if mark is None:
            pieces.append('?')
            continue
        value = parameters[mark]
        if isinstance(value, (str, bytes)) and len(value) > _LITERAL_MAX:
            left.append(value)
            kind = 'bytea' if isinstance(value, bytes) else getattr(value, 'sql_type', None)
            pieces.append(f'CAST(${len(left)} AS {kind or "text"})')
        else:
            pieces.append(' ' + literal(value) if text[-1:].isalnum() else literal(value))
    return ''.join(pieces) + rest, left


def _are_texts(sets, index):
    return all(values[index] is None or isinstance(values[index], str) for values in sets)


def statements(script: str) -> Iterator[str]:
    """The statements of a script, without the semicolons between them."""
    begin = 0
    for found in _tokens(script):
        if found['end'] is None:
            continue
        yield from not_blank(script[begin:found.start()])
        begin = found.end()
    yield from not_blank(script[begin:])


# --- values that come back

_INTERVAL = re.compile(r"""
    (?:(?P<years>[+-]?\d+)\ years?\ ?)? (?:(?P<months>[+-]?\d+)\ mons?\ ?)?
    (?:(?P<days>[+-]?\d+)\ days?\ ?)?
    (?:(?P<sign>[+-]?)(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d+)?))?
    """, re.VERBOSE)


def _timedelta(text):
    found = _INTERVAL.fullmatch(text)
    if found is None:
        return text
    days = (365 * int(found['years'] or 0) + 30 * int(found['months'] or 0)
            + int(found['days'] or 0))
    clock = datetime.timedelta(hours=int(found['hours'] or 0), minutes=int(found['minutes'] or 0),
                               microseconds=round(float(found['seconds'] or 0) * 1000000))
    return datetime.timedelta(days) + (-clock if found['sign'] == '-' else clock)


_CONVERTERS = {
    'bool': bool,
    'numeric': decimal.Decimal,
    'date': or_text(datetime.date.fromisoformat),
    'time': or_text(datetime.time.fromisoformat),
    'timestamp': or_text(datetime.datetime.fromisoformat),
    'timestamptz': or_text(datetime.datetime.fromisoformat),
    'interval': or_text(_timedelta),
    'uuid': uuid.UUID,
}


# What an element of an array is: the end of a quoted one, or all of another.
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|[^,{}"]+', re.DOTALL)
_PLAIN = {'int': int, 'real': float, 'bool': lambda text: text == 't',
          'bytes': lambda text: bytes.fromhex(text[2:])}


def _array_of(text, convert):
    """The list that stands in the text, or the text. Bounds before it ([0:1]={a,b}) say nothing."""
    lists: list[Any] = []
    place = text.find('=') + 1 if text.startswith('[') else 0
    while place < len(text):
        mark = text[place]
        if mark == '{':
            lists.append([])
        elif mark == '}':
            whole = lists.pop()
            if not lists:
                return whole
            lists[-1].append(whole)
        elif mark != ',':
            found = _ELEMENT.match(text, place)
            if found is None or not lists:
                return text
            if found[1] is not None:
                lists[-1].append(convert(re.sub(r'\\(.)', r'\1', found[1], flags=re.DOTALL)))
            else:
                lists[-1].append(None if found[0] == 'NULL' else convert(found[0]))
            place = found.end() - 1
        place += 1
    return text


@functools.lru_cache(64)
def _converter_of(declared):
    if not declared or not declared.endswith('[]'):
        return _CONVERTERS.get(declared)
    kind = declared[:-2]
    convert = _PLAIN.get(kind) or _CONVERTERS.get(kind) or str
    return lambda text: _array_of(text, convert)


def converters_of(columns: Any) -> list[Any] | None:
    """What makes a value of each column's; None: nothing has to be done."""
    found = [_converter_of(declared) for _, declared in columns]
    return found if any(found) else None


def converted(row: Any, converters: Any) -> tuple[Any, ...]:
    """The row with what the converters of its columns make of its values."""
    return tuple(value if value is None or converter is None else converter(value)
                 for value, converter in zip(row, converters))
