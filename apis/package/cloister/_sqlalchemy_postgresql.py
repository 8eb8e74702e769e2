"""SQLAlchemy's dialect of an app's database in PostgreSQL: see cloister.sqlalchemy."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import exc
from sqlalchemy import __version__ as _version
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect

from cloister._sqlalchemy_common import OneDatabase

__all__ = ['CloisterPostgresqlDialect']

# How a statement that changes rows begins a transaction, and whether it does at all.
_LEVELS = {'AUTOCOMMIT': None, 'READ COMMITTED': '', 'SERIALIZABLE': 'EXCLUSIVE'}


class _Uuid(postgresql.UUID):
    """Of SQLAlchemy 1.4, which takes values for texts."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> Any:
        """Both kinds of values are taken."""
        return lambda value: uuid.UUID(value) if isinstance(value, str) else value

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """A UUID, or its text."""
        if self.as_uuid:
            return None
        return lambda value: None if value is None else str(value)


class CloisterPostgresqlDialect(OneDatabase, PGDialect):
    """PostgreSQL's dialect, with cloister.db as its driver."""

    supports_statement_cache = True
    supports_native_decimal = True
    if _version.startswith('1.'):
        colspecs = {**PGDialect.colspecs, postgresql.UUID: _Uuid}

    def __init__(self, **options: Any) -> None:
        # Beside named parameters a ? is an operator.
        options['paramstyle'] = 'named'
        super().__init__(**options)

    def get_isolation_level_values(self, dbapi_conn: Any) -> list[str]:
        """Those that can be set."""
        return list(_LEVELS)

    def get_default_isolation_level(self, dbapi_conn: Any) -> str:
        """Of a connection that nothing was set for."""
        return 'READ COMMITTED'

    def get_isolation_level(self, dbapi_connection: Any) -> str:
        """Of the connection, without asking the server."""
        level = dbapi_connection.isolation_level
        return next((name for name, ours in _LEVELS.items() if ours == level), 'READ COMMITTED')

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        """For the connection's next transaction."""
        name = level.replace('_', ' ')
        if name not in _LEVELS:
            raise exc.ArgumentError(f'the isolation level is one of {", ".join(_LEVELS)}, '
                                    f'not {level}')
        dbapi_connection.isolation_level = _LEVELS[name]

    def reset_isolation_level(self, dbapi_connection: Any) -> None:
        """READ COMMITTED."""
        dbapi_connection.isolation_level = ''
