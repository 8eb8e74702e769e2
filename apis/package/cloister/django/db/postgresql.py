"""Django on an app's database in PostgreSQL.

All that is SQL is Django's own backend for PostgreSQL. That is written around psycopg2, which has
native code and is in no worker: what its modules want of it when they are imported stands here
instead, and what they call is overridden.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from cloister import db
from cloister._sql_server import adapted, literal, statements
from cloister.django.db._server import ServerCursor, stand_ins, with_literals

__all__ = ['CloisterCursor', 'CloisterOperations', 'CloisterSchemaEditor', 'DatabaseWrapper']

_DRIVER = ('psycopg2', 'psycopg2.extensions', 'psycopg2.extras', 'psycopg2.errorcodes',
           'psycopg2.errors', 'psycopg2.sql')
# Django 4.2 looks for psycopg first, and wants a version of the other.
with stand_ins(_DRIVER, absent=('psycopg',), attributes={'psycopg2': {'__version__': '2.9.5'}}):
    from django.db.backends.postgresql import base as _base

from django.conf import settings  # noqa: E402 (Django's own order of imports)
from django.db.backends.base.operations import BaseDatabaseOperations  # noqa: E402
from django.utils.functional import cached_property  # noqa: E402


class CloisterCursor(ServerCursor):
    """With times as the settings want them."""

    def _take(self, result):
        super()._take(result)
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
        return with_literals(sql, params, _literal) if params else sql


def _literal(value):
    return literal(adapted(bytes(value) if isinstance(value, (bytearray, memoryview)) else value))


class CloisterSchemaEditor(_base.DatabaseSchemaEditor):
    """DDL has no parameters: values become literals. Some of Django's texts are two statements."""

    def quote_value(self, value: Any) -> str:
        """A literal of PostgreSQL's."""
        return _literal(value).replace('%', '%%')

    def execute(self, sql: Any, params: Any = ()) -> None:
        """As Django's own, which has a server that takes several statements in one text."""
        text = str(sql)
        if params is not None:
            text = with_literals(text, params, _literal)
        for statement in statements(text):
            super().execute(statement, None)


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
