"""SQLAlchemy on the app's own database.

    import cloister.sqlalchemy
    from sqlalchemy import create_engine

    engine = create_engine('cloister://')

For SQLAlchemy 1.4 and 2.0, which the app brings along. The dialect is SQLite's, or PostgreSQL's
where the node's operator has named such a server, so everything that depends on it does what it
does there; a URL names nothing but the dialect.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc, pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from cloister import db

__all__ = ['CloisterDialect']


class CloisterDialect(SQLiteDialect_pysqlite):
    """SQLite's dialect, with cloister.db as its driver."""

    driver = 'cloister'
    supports_statement_cache = True

    @classmethod
    def get_dialect_cls(cls, url: Any) -> Any:
        """This one, or that of the engine that the app's database has."""
        if db.engine() != 'postgresql':
            return cls
        from cloister._sqlalchemy_postgresql import CloisterPostgresqlDialect
        return CloisterPostgresqlDialect

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
        """Nothing: REGEXP is there already."""
        return None

    def on_connect_url(self, url: Any) -> Any:
        """Nothing: REGEXP is there already."""
        return None

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether the process of the database was lost; the next statement has another one."""
        return getattr(e, 'code', None) == 'database_lost'


registry.register('cloister', 'cloister.sqlalchemy', 'CloisterDialect')
