"""The marks of parameters in SQL, and values with a type: what the drivers of all servers share."""

from __future__ import annotations

import functools
import re
from typing import Any, Callable, Iterable, Iterator

__all__ = ['Typed', 'check_counts', 'kept', 'not_blank', 'or_text', 'parsed', 'types_of',
           'values_by_name']

_KEPT_SQL_MAX = 4096


class Typed(str):
    """A value as the server reads it, and what it is to be there."""

    sql_type: str

    def __new__(cls, text, sql_type):
        self = super().__new__(cls, text)
        self.sql_type = sql_type
        return self


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """The results for the last statements, but for long ones, which would fill the memory."""
    cached = functools.lru_cache(512)(function)

    @functools.wraps(function)
    def call(sql, *args):
        return (cached if len(sql) <= _KEPT_SQL_MAX else function)(sql, *args)
    return call


@kept
def parsed(sql: str, named: bool, tokens: Callable[[str], Iterable[Any]]) -> tuple[Any, Any, str]:
    """The texts before marks, for each mark which parameter it is (an index or a name), the rest.

    `tokens` gives matches with the groups `number`, `name` and, for what stands for one question
    mark and has the mark None, `escaped`.
    """
    texts, marks, place, next_index = [], [], 0, 0
    for found in tokens(sql):
        if found['escaped'] is not None:
            mark = None
        elif named and found['name'] is not None:
            mark = found['name']
        elif not named and found['number'] is not None:
            mark = int(found['number'] or next_index + 1) - 1
            next_index = mark + 1
        else:
            continue
        texts.append(sql[place:found.start()])
        marks.append(mark)
        place = found.end()
    return texts, marks, sql[place:]


def values_by_name(sets: Iterable[Any], names: Iterable[str]) -> list[Any]:
    """Of each mapping the values of these names, in their order. KeyError: there is none."""
    return [[values[name] for name in names] for values in sets]


def types_of(sets: Iterable[Any]) -> tuple[Any, ...]:
    """What each place is to be: none where the sets disagree."""
    found: list[set[Any]] = []
    for values in sets:
        for index, value in enumerate(values):
            if index == len(found):
                found.append(set())
            if value is not None:
                found[index].add(getattr(value, 'sql_type', None))
    return tuple(kinds.pop() if len(kinds) == 1 else None for kinds in found)


def check_counts(sql: str, sets: Iterable[Any], tokens: Any, own_marks: str | None = None) -> None:
    """ValueError: not as many values as marks. With `own_marks` in it SQL may have none of ours."""
    marks = [mark for mark in parsed(sql, False, tokens)[1] if mark is not None]
    wanted = max(marks) + 1 if marks else 0
    if not marks and own_marks is not None and own_marks in sql:
        return
    for values in sets:
        if len(values) != wanted:
            raise ValueError('Incorrect number of bindings supplied. The current statement uses '
                             f'{wanted}, and there are {len(values)} supplied.')


def not_blank(text: str) -> Iterator[str]:
    """The text, if there is something in it."""
    if re.sub(r'--[^\n]*|/\*.*?\*/', '', text, flags=re.DOTALL).strip():
        yield text


def or_text(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """What Python has no value for (infinity, years before 1) stays text."""
    def converted(text):
        try:
            return convert(text)
        except ValueError:
            return text
    return converted
