"""SQLAlchemy's dialect of an app's database in MariaDB: see cloister.sqlalchemy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Time
from sqlalchemy.dialects.mysql import TIME
from sqlalchemy.dialects.mysql.base import MySQLDialect, MySQLTypeCompiler

from cloister._sqlalchemy_common import ServerDatabase

__all__ = ['CloisterMariadbDialect']


class _Time(TIME):
    """The driver gives times."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Nothing has to be done."""
        return None


class _Types(MySQLTypeCompiler):
    """Times keep their fractions, as on the other engines, unless a type says how many digits."""

    def visit_DATETIME(self, type_: Any, **options: Any) -> str:  # noqa: N802 (SQLAlchemy's name)
        """DATETIME(6)."""
        text = super().visit_DATETIME(type_, **options)
        return text if '(' in text else text + '(6)'

    def visit_TIME(self, type_: Any, **options: Any) -> str:  # noqa: N802
        """TIME(6)."""
        text = super().visit_TIME(type_, **options)
        return text if '(' in text else text + '(6)'


class CloisterMariadbDialect(ServerDatabase, MySQLDialect):
    """MariaDB's dialect, with cloister.db as its driver."""

    supports_statement_cache = True
    supports_unicode_statements = True
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True
    type_compiler = type_compiler_cls = _Types
    colspecs = {**MySQLDialect.colspecs, Time: _Time, TIME: _Time}

    def __init__(self, **options: Any) -> None:
        super().__init__(is_mariadb=True, **options)

    def _detect_charset(self, connection):
        return 'utf8mb4'

    def _fetch_setting(self, connection, setting_name):
        return connection.exec_driver_sql(f'SELECT @@{setting_name}').scalar()

    def _extract_error_code(self, exception):
        _, _, code = str(exception).rpartition('(error ')
        return int(code.rstrip(')')) if code.rstrip(')').isdigit() else None

    def _get_server_version_info(self, connection):
        return self._parse_server_version(connection.exec_driver_sql('SELECT VERSION()').scalar())
