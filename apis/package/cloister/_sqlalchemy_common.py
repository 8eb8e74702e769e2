"""What both dialects of cloister.sqlalchemy have: their driver, and a URL that names nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc, pool

from cloister import db

__all__ = ['OneDatabase']


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
