"""What all dialects of cloister.sqlalchemy have: their driver, and a URL that names nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc, pool

from cloister import db

__all__ = ['OneDatabase', 'ServerDatabase']

# How a statement that changes rows begins a transaction, and whether it does at all.
_LEVELS = {'AUTOCOMMIT': None, 'READ COMMITTED': '', 'SERIALIZABLE': 'EXCLUSIVE'}


class OneDatabase:
    """Before a dialect of SQLAlchemy: the app's one database, through cloister.db."""

    driver = 'cloister'

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver, for SQLAlchemy 2."""
        return db

    @classmethod
    def dbapi(cls) -> Any:  # noqa: F811 (an attribute of instances in SQLAlchemy 1.4)
        """The driver, for SQLAlchemy 1.4."""
        return db

    @classmethod
    def get_pool_class(cls, url: Any) -> Any:
        """None: a connection costs nothing until its first statement."""
        return pool.NullPool

    def create_connect_args(self, url: Any) -> Any:
        """Nothing: there is one database."""
        if url.host or url.database or url.username or url.query:
            raise exc.ArgumentError("the URL is 'cloister://': an app has one database")
        return [], {}

    def on_connect(self) -> Any:
        """Nothing: the node has done it."""
        return None

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether the process of the database was lost; the next statement has another one."""
        return getattr(e, 'code', None) == 'database_lost'


class ServerDatabase(OneDatabase):
    """The same, on a server: parameters have names, and isolation levels are the driver's."""

    supports_native_decimal = True

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
