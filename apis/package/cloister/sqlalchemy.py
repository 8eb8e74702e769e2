"""SQLAlchemy on the app's own database.

    import cloister.sqlalchemy
    from sqlalchemy import create_engine

    engine = create_engine('cloister://')

For SQLAlchemy 1.4 and 2.0, which the app brings along. The dialect is SQLite's, or PostgreSQL's or
MariaDB's where the node's operator has named such a server, so everything that depends on it does
what it does there; a URL names nothing but the dialect.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from cloister import db
from cloister._sqlalchemy_common import OneDatabase

__all__ = ['CloisterDialect']


class CloisterDialect(OneDatabase, SQLiteDialect_pysqlite):
    """SQLite's dialect, with cloister.db as its driver."""

    supports_statement_cache = True

    @classmethod
    def get_dialect_cls(cls, url: Any) -> Any:
        """This one, or that of the engine that the app's database has."""
        if db.engine() == 'postgresql':
            from cloister._sqlalchemy_postgresql import CloisterPostgresqlDialect
            return CloisterPostgresqlDialect
        if db.engine() == 'mariadb':
            from cloister._sqlalchemy_mariadb import CloisterMariadbDialect
            return CloisterMariadbDialect
        return cls

    def on_connect_url(self, url: Any) -> Any:
        """Nothing: REGEXP is there already."""
        return None


registry.register('cloister', 'cloister.sqlalchemy', 'CloisterDialect')
