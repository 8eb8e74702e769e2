"""Django on an app's database in MariaDB.

All that is SQL is Django's own backend for MySQL. That is written around MySQLdb, which has native
code and is in no worker: what its modules want of it when they are imported stands here instead,
and what they call is overridden.
"""

from __future__ import annotations

import datetime
from typing import Any

from cloister import db
from cloister.django.db._server import ServerCursor, stand_ins

__all__ = ['CloisterFeatures', 'CloisterOperations', 'CloisterSchemaEditor', 'DatabaseWrapper']

_DRIVER = ('MySQLdb', 'MySQLdb.constants', 'MySQLdb.constants.CLIENT',
           'MySQLdb.constants.FIELD_TYPE', 'MySQLdb.converters')
with stand_ins(_DRIVER, attributes={
        'MySQLdb': {'version_info': (2, 1, 1), '__version__': '2.1.1'},
        'MySQLdb.converters': {'conversions': {}}}):
    from django.db.backends.mysql import base as _base

from django.db.backends.base.base import BaseDatabaseWrapper  # noqa: E402
from django.db.backends.base.operations import BaseDatabaseOperations  # noqa: E402

# Texts of the database are compared letter by letter; these are not.
_ANY_CASE = 'COLLATE utf8mb4_unicode_ci'
# A backslash is none of SQL's own here, so that LIKE is told of it.
_ESCAPE = "ESCAPE '\\'"


class CloisterFeatures(_base.DatabaseFeatures):
    """Where the driver is not as MySQLdb is."""

    empty_fetchmany_value: Any = []


class CloisterOperations(_base.DatabaseOperations):
    """What Django's own does by MySQLdb is done without it."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """As for a driver that does not tell."""
        return BaseDatabaseOperations.last_executed_query(self, cursor, sql, params)

    def binary_placeholder_sql(self, value: Any) -> str:
        """A mark as of any value: a parameter has its own type, and no _binary before it."""
        return '%s'

    def regex_lookup(self, lookup_type: str) -> str:
        """Patterns of letters as they are, or of any case."""
        if lookup_type == 'regex':
            return '%s REGEXP BINARY %s'
        return f'%s REGEXP %s {_ANY_CASE}'


def _literal(value):
    if value is None:
        return 'NULL'
    if isinstance(value, (bool, int, float)):
        return str(int(value) if isinstance(value, bool) else value)
    if isinstance(value, (bytes, memoryview)):
        return f"x'{bytes(value).hex()}'"
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return "'" + str(value).replace("'", "''") + "'"


class CloisterSchemaEditor(_base.DatabaseSchemaEditor):
    """DDL has no parameters: values become literals."""

    def quote_value(self, value: Any) -> str:
        """A literal of MariaDB's."""
        if isinstance(value, str):
            value = value.replace('%', '%%')
        return _literal(value)


class DatabaseWrapper(_base.DatabaseWrapper):
    """Django's connection to the app's database."""

    display_name = 'Cloister'
    Database = db
    SchemaEditorClass = CloisterSchemaEditor
    features_class = CloisterFeatures
    ops_class = CloisterOperations
    operators = {
        **_base.DatabaseWrapper.operators,
        'iexact': f'LIKE %s {_ANY_CASE} {_ESCAPE}',
        'contains': f'LIKE BINARY %s {_ESCAPE}',
        'icontains': f'LIKE %s {_ANY_CASE} {_ESCAPE}',
        'startswith': f'LIKE BINARY %s {_ESCAPE}',
        'endswith': f'LIKE BINARY %s {_ESCAPE}',
        'istartswith': f'LIKE %s {_ANY_CASE} {_ESCAPE}',
        'iendswith': f'LIKE %s {_ANY_CASE} {_ESCAPE}',
    }
    pattern_esc = r"REPLACE(REPLACE(REPLACE({}, '\', '\\'), '%%', '\%%'), '_', '\_')"
    pattern_ops = {
        'contains': f"LIKE BINARY CONCAT('%%', {{}}, '%%') {_ESCAPE}",
        'icontains': f"LIKE CONCAT('%%', {{}}, '%%') {_ANY_CASE} {_ESCAPE}",
        'startswith': f"LIKE BINARY CONCAT({{}}, '%%') {_ESCAPE}",
        'istartswith': f"LIKE CONCAT({{}}, '%%') {_ANY_CASE} {_ESCAPE}",
        'endswith': f"LIKE BINARY CONCAT('%%', {{}}) {_ESCAPE}",
        'iendswith': f"LIKE CONCAT('%%', {{}}) {_ANY_CASE} {_ESCAPE}",
    }

    def get_connection_params(self) -> dict[str, Any]:
        """Nothing of the settings: there is one database."""
        return {}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection; Django says BEGIN itself."""
        return db.connect(isolation_level=None)

    def init_connection_state(self) -> None:
        """Nothing: the node has done it."""

    def create_cursor(self, name: Any = None) -> Any:
        """A cursor for Django's statements."""
        return self.connection.cursor(factory=ServerCursor)

    def _rollback(self):
        BaseDatabaseWrapper._rollback(self)

    def _set_autocommit(self, autocommit):
        with self.wrap_database_errors:
            self.connection.isolation_level = None if autocommit else ''

    def _start_transaction_under_autocommit(self):
        self.cursor().execute('BEGIN')

    def disable_constraint_checking(self) -> bool:
        """Connections are shared, so the server goes on to check: not disabled."""
        return False

    def enable_constraint_checking(self) -> None:
        """Nothing: the server never stopped."""

    def is_usable(self) -> bool:
        """Whether the next statement finds the database."""
        try:
            self.connection.execute('SELECT 1')
        except db.Error:
            return False
        return True
