"""Django on an app's database in PostgreSQL.

All that is SQL is Django's own backend for PostgreSQL. That is written around psycopg2, which has
native code and is in no worker: what its modules want of it when they are imported stands here
instead, and what they call is overridden.
"""

from __future__ import annotations

import collections
import datetime
import json
import re
import sys
import types
from typing import Any

from cloister import db

__all__ = ['CloisterCursor', 'CloisterOperations', 'CloisterSchemaEditor', 'DatabaseWrapper']


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
    __version__ = '2.9.5'
    __path__: list[str] = []

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return _anything(name)


def _import_backend():
    """Django's own backend, with something in the place of psycopg2 for as long as that takes."""
    names = ('psycopg2', 'psycopg2.extensions', 'psycopg2.extras', 'psycopg2.errorcodes',
             'psycopg2.errors', 'psycopg2.sql')
    before = {name: sys.modules.get(name) for name in names}
    # Django 4.2 looks for this one first.
    before['psycopg'] = sys.modules.get('psycopg')
    sys.modules.update({name: _Stand(name) for name in names})
    sys.modules['psycopg'] = None
    try:
        from django.db.backends.postgresql import base
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
    return base


_base = _import_backend()

from django.conf import settings  # noqa: E402 (Django's own order of imports)
from django.db.backends.base.operations import BaseDatabaseOperations  # noqa: E402
from django.utils.functional import cached_property  # noqa: E402

_MARK = re.compile(r'%(%|s|\((\w+)\)s)')
_Column = collections.namedtuple('_Column', 'name type_code display_size internal_size precision '
                                            'scale null_ok')


def _named(query, parameters):
    """The query with named marks, beside which a ? is an operator of PostgreSQL's."""
    values, found = {}, iter(range(len(parameters)))

    def mark(match):
        if match[1] == '%':
            return '%'
        if match[2]:
            return ':' + match[2]
        name = f'p{next(found)}'
        return ':' + name

    query = _MARK.sub(mark, query)
    if isinstance(parameters, dict):
        return query, parameters
    values = {f'p{index}': value for index, value in enumerate(parameters)}
    return query, values


class CloisterCursor(db.Cursor):
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
            self.description = tuple(_Column(*column) for column in self.description)
        if not settings.USE_TZ:
            self._rows = [tuple(map(_without_zone, row)) for row in self._rows]


def _without_zone(value):
    is_moment = isinstance(value, datetime.datetime) and value.tzinfo is not None
    return value.replace(tzinfo=None) if is_moment else value


class CloisterOperations(_base.DatabaseOperations):
    """What Django's own does by psycopg2 is done without it."""

    def adapt_ipaddressfield_value(self, value: Any) -> Any:
        """The text: the column makes an address of it."""
        return value or None

    def adapt_json_value(self, value: Any, encoder: Any) -> Any:
        """The text, for Django 4.2."""
        return json.dumps(value, cls=encoder)

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """As for a driver that does not tell."""
        return BaseDatabaseOperations.last_executed_query(self, cursor, sql, params)

    def compose_sql(self, sql: Any, params: Any) -> Any:
        """Literals in place of the marks."""
        return sql % tuple(_literal(value) for value in params) if params else sql


def _literal(value):
    if value is None:
        return 'NULL'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    return "'" + str(value).replace("'", "''") + "'"


class CloisterSchemaEditor(_base.DatabaseSchemaEditor):
    """DDL has no parameters: values become literals."""

    def quote_value(self, value: Any) -> str:
        """A literal of PostgreSQL's."""
        if isinstance(value, str):
            value = value.replace('%', '%%')
        return _literal(value)


class DatabaseWrapper(_base.DatabaseWrapper):
    """Django's connection to the app's database."""

    display_name = 'Cloister'
    Database = db
    SchemaEditorClass = CloisterSchemaEditor
    ops_class = CloisterOperations

    def get_connection_params(self) -> dict[str, Any]:
        """Nothing of the settings: there is one database."""
        return {}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection; Django says BEGIN itself."""
        return db.connect(isolation_level=None)

    def init_connection_state(self) -> None:
        """Nothing: the node has done it."""

    def ensure_timezone(self) -> bool:
        """The database's time zone is UTC, and stays."""
        return False

    def create_cursor(self, name: Any = None) -> Any:
        """A cursor for Django's statements."""
        return self.connection.cursor(factory=CloisterCursor)

    def chunked_cursor(self) -> Any:
        """All rows come at once."""
        return self.cursor()

    def _set_autocommit(self, autocommit):
        with self.wrap_database_errors:
            self.connection.isolation_level = None if autocommit else ''

    def _start_transaction_under_autocommit(self):
        self.cursor().execute('BEGIN')

    def is_usable(self) -> bool:
        """Whether the next statement finds the database."""
        try:
            self.connection.execute('SELECT 1')
        except db.Error:
            return False
        return True

    @cached_property
    def pg_version(self) -> int:
        """As 150004."""
        with self.temporary_connection() as cursor:
            cursor.execute('SHOW server_version_num')
            return int(cursor.fetchone()[0])

    def get_database_version(self) -> tuple[int, ...]:
        """As (15, 4), for Django 4.2."""
        return divmod(self.pg_version, 10000)
