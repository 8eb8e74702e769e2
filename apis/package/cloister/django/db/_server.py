"""What Django's backends of all servers share: a driver that is not there, and cursors."""

from __future__ import annotations

import collections
import contextlib
import re
import sys
import types
from typing import Any, Callable, Iterator

from cloister import db

__all__ = ['Column', 'ServerCursor', 'stand_ins', 'with_literals']

Column = collections.namedtuple('Column', 'name type_code display_size internal_size precision '
                                          'scale null_ok')
_MARK = re.compile(r'%(%|s|\((\w+)\)s)')


class _Anything(type):
    """A class whose every attribute is a class of this kind, and that can be called."""

    def __getattr__(cls, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return _anything(name)

    def __call__(cls, *args, **kwargs):
        return cls


def _anything(name):
    return _Anything(name, (), {})


class _Stand(types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return _anything(name)


@contextlib.contextmanager
def stand_ins(names: Any, absent: Any = (), attributes: Any = None) -> Iterator[None]:
    """Something in the place of a driver's modules, for as long as Django imports its backend.

    `absent`: modules that are not to be found. `attributes`: what a module has, by its name.
    """
    before = {name: sys.modules.get(name) for name in (*names, *absent)}
    for name in names:
        module = _Stand(name)
        module.__dict__.update((attributes or {}).get(name, {}))
        sys.modules[name] = module
    sys.modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _named(query, parameters):
    """The query with named marks, beside which a ? may be an operator."""
    found = iter(range(len(parameters)))

    def mark(match):
        if match[1] == '%':
            return '%'
        return ':' + (match[2] or f'p{next(found)}')

    query = _MARK.sub(mark, query)
    if isinstance(parameters, dict):
        return query, parameters
    return query, {f'p{index}': value for index, value in enumerate(parameters)}


def with_literals(sql: str, parameters: Any, literal: Callable[[Any], str]) -> str:
    """The statement with what `literal` makes of the values in the place of its marks."""
    values = iter(parameters)
    return _MARK.sub(lambda match: '%' if match[1] == '%' else literal(next(values)), sql)


class ServerCursor(db.Cursor):
    """A cursor whose parameters are written %s, as Django does."""

    query = None

    def execute(self, sql: str, parameters: Any = None) -> db.Cursor:
        """As db.Cursor.execute; without parameters a % is a %."""
        if parameters is None:
            return super().execute(sql, {})
        return super().execute(*_named(sql, parameters))

    def executemany(self, sql: str, seq_of_parameters: Any) -> db.Cursor:
        """As db.Cursor.executemany."""
        sets = [_named(sql, parameters) for parameters in seq_of_parameters]
        if not sets:
            return self
        return super().executemany(sets[0][0], [values for _, values in sets])

    def _take(self, result):
        super()._take(result)
        if self.description is not None:
            self.description = tuple(Column(*column) for column in self.description)
