"""SQLAlchemy's dialect of an app's database in PostgreSQL: see cloister.sqlalchemy."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import __version__ as _version
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect, PGTypeCompiler

from cloister._sqlalchemy_common import ServerDatabase

__all__ = ['CloisterPostgresqlDialect']


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


class _Types(PGTypeCompiler):
    """A length of Text is for MariaDB, which has texts of several sizes."""

    def visit_TEXT(self, type_: Any, **options: Any) -> str:  # noqa: N802 (SQLAlchemy's name)
        """TEXT, of whatever length."""
        return 'TEXT'


class CloisterPostgresqlDialect(ServerDatabase, PGDialect):
    """PostgreSQL's dialect, with cloister.db as its driver."""

    supports_statement_cache = True
    type_compiler = type_compiler_cls = _Types
    if _version.startswith('1.'):
        colspecs = {**PGDialect.colspecs, postgresql.UUID: _Uuid}
