"""Django on an app's database in SQLite."""

from __future__ import annotations

import decimal
import re
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.backends.sqlite3.client import DatabaseClient
from django.db.backends.sqlite3.creation import DatabaseCreation
from django.utils.dateparse import parse_datetime, parse_time

from cloister import db

__all__ = ['CloisterClient', 'CloisterCreation', 'CloisterCursor', 'DatabaseWrapper']


def _of_text(convert):
    return lambda value: convert(value.decode())


db.register_converter('bool', b'1'.__eq__)
db.register_converter('time', _of_text(parse_time))
db.register_converter('datetime', _of_text(parse_datetime))
db.register_converter('timestamp', _of_text(parse_datetime))
db.register_adapter(decimal.Decimal, str)



def _prepare_stand_in():
    """Without a node: the functions that the node's database has, as Django makes them itself."""
    try:
        from cloister._local import query as stand_in
    except ImportError:
        return
    try:
        from django.db.backends.sqlite3._functions import register
    except ImportError:
        register = _register_of_django_3
    if register not in stand_in.preparations:
        stand_in.preparations.append(register)


class _Given:
    """Stands for sqlite3 while Django "connects" to a connection that there is."""

    def __init__(self, connection):
        self.connect = lambda **parameters: connection


def _register_of_django_3(connection):
    driver, base.Database = base.Database, _Given(connection)
    try:
        base.DatabaseWrapper.get_new_connection(None, {})
    finally:
        base.Database = driver
    connection.execute('PRAGMA foreign_keys = OFF')


_prepare_stand_in()

_MARK = re.compile(r'%(%|s|\(\w+\)s)')


def _with_question_marks(query):
    return _MARK.sub(lambda found: {'%': '%', 's': '?'}.get(found[1], ':' + found[1][1:-2]), query)


class CloisterCursor(db.Cursor):
    """A cursor whose parameters are written %s, as Django does."""

    def execute(self, sql: str, parameters: Any = None) -> db.Cursor:
        """As db.Cursor.execute; without parameters a % is a %."""
        if parameters is None:
            return super().execute(sql)
        return super().execute(_with_question_marks(sql), parameters)

    def executemany(self, sql: str, seq_of_parameters: Any) -> db.Cursor:
        """As db.Cursor.executemany."""
        return super().executemany(_with_question_marks(sql), seq_of_parameters)


class CloisterCreation(DatabaseCreation):
    """A test database is the stand-in's own: empty, and gone with the process."""

    def _get_test_db_name(self):
        return 'cloister'

    def _create_test_db(self, verbosity, autoclobber, keepdb=False):
        from cloister._local import query as stand_in
        if not keepdb:
            stand_in.forget()
        return 'cloister'

    def _destroy_test_db(self, test_database_name, verbosity):
        pass

    def test_db_signature(self) -> Any:
        """One for all: there is one database."""
        return ('cloister',)


class CloisterClient(DatabaseClient):
    """There is no program to speak with the database."""

    executable_name = 'cloister'

    def runshell(self, parameters: Any = None) -> None:
        """Always refused."""
        raise db.NotSupportedError('an app has no shell for its database')


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to the app's database."""

    display_name = 'Cloister'
    Database = db
    client_class = CloisterClient
    creation_class = CloisterCreation

    def get_connection_params(self) -> dict[str, Any]:
        """Nothing of the settings: there is one database."""
        return {'detect_types': db.PARSE_DECLTYPES | db.PARSE_COLNAMES}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection with foreign keys on."""
        connection = db.connect(**conn_params)
        connection.execute('PRAGMA foreign_keys = ON')
        return connection

    def create_cursor(self, name: Any = None) -> Any:
        """A cursor for Django's statements."""
        return self.connection.cursor(factory=CloisterCursor)

    def is_in_memory_db(self) -> bool:
        """Never: what is committed stays."""
        return False
