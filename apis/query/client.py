"""An app's own database: tables of keys and values here, SQL in `cloister.db`.

    orders = cloister.table('orders')
    orders.put('2024-05-01/17', b'...')
    for key, value in orders.range('2024-05-', '2024-06-'):
        ...

Keys are str of 1 to 1024 bytes as UTF-8, in the order of their code points; values are bytes, of up
to 8 MiB. What put, delete and a batch have done when they return survives a crash of everything.

Errors are those of `cloister.db`: OperationalError when the database cannot be reached or is locked
for too long, QuotaExceeded (also a cloister.QuotaExceeded) beyond a quota.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple

__all__ = ['Batch', 'Failure', 'Table', 'table']

_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,47}')
_KEY_BYTES = 1024
_VALUE_BYTES = 8 << 20
_PAGE = 500


class Failure(Exception):
    """How a statement failed, as it came back; `cloister.db` makes an exception of PEP 249 of it.

    ('failed', in transaction, flags, class, code, message), ('refused', in transaction, flags,
    quota, limit, used, milliseconds until it may be) or, when the database's process is gone,
    ('lost', 0, -1, 0, code, why).
    """


def _check_key(key):
    if not isinstance(key, str):
        raise TypeError(f'a key is a str, not {type(key).__name__}')
    if not 0 < len(key.encode('utf-8')) <= _KEY_BYTES:
        raise ValueError(f'a key has 1 to {_KEY_BYTES} bytes')
    return key


def _check_value(value):
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f'a value is bytes, not {type(value).__name__}')
    if memoryview(value).nbytes > _VALUE_BYTES:
        raise ValueError(f'a value has at most {_VALUE_BYTES} bytes')
    return value


class Table:
    """Keys in order, each with a value. Made when something is first put into it."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError('the name of a table has letters, digits and _, at most 48, and does '
                             f'not begin with a digit: {name!r}')
        self._name = name
        self._sql_name = f'"kv_{name}"'

    @property
    def name(self) -> str:
        """As it was given. In SQL the table is kv_NAME, with the columns key and value."""
        return self._name

    def __repr__(self) -> str:
        return f'cloister.table({self._name!r})'

    def put(self, key: str, value: bytes) -> None:
        """Stores a value; one that was there is replaced."""
        self._write([(True, _check_key(key), _check_value(value))])

    def get(self, key: str, default: bytes | None = None) -> bytes | None:
        """The value of a key, or `default`."""
        rows = self._read(f'SELECT value FROM {self._sql_name} WHERE "key" = ?', (_check_key(key),))
        return rows[0][0] if rows else default

    def delete(self, key: str) -> bool:
        """Removes a key. Whether it was there."""
        return self._write([(False, _check_key(key), None)]) > 0

    def range(self, start: str | None = None, end: str | None = None, *,
              limit: int | None = None, reverse: bool = False) -> Iterator[tuple[str, bytes]]:
        """(key, value) from `start` on to before `end`, in order; with `reverse` the last first.

        Read in pages, so that a table may be larger than memory. What is changed meanwhile may be
        seen or not.
        """
        for bound in (start, end):
            if bound is not None and not isinstance(bound, str):
                raise TypeError(f'a bound is a str, not {type(bound).__name__}')
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ValueError(f'a limit is a number from 0, not {limit!r}')
        return self._pages(start, end, limit, reverse)

    def batch(self) -> Batch:
        """A context in which puts and deletes are gathered, to be done all together or not at all.

            with table.batch() as batch:
                batch.put('a', b'1')
                batch.delete('b')
        """
        return Batch(self)

    def clear(self) -> None:
        """Removes all keys."""
        from cloister import db
        with db.connect() as connection:
            connection.execute(f'DROP TABLE IF EXISTS {self._sql_name}')
        connection.close()

    def _pages(self, start, end, limit, reverse):
        after = None
        while limit is None or limit > 0:
            count = _PAGE if limit is None else min(limit, _PAGE)
            rows = self._page(start, end, after, count, reverse)
            yield from rows
            if len(rows) < count:
                return
            after = rows[-1][0]
            if limit is not None:
                limit -= len(rows)

    def _page(self, start, end, after, count, reverse):
        bounds = [('"key" >= ?', start), ('"key" < ?', end),
                  ('"key" < ?' if reverse else '"key" > ?', after)]
        bounds = [(text, value) for text, value in bounds if value is not None]
        where = ' WHERE ' + ' AND '.join(text for text, _ in bounds) if bounds else ''
        order = 'DESC' if reverse else 'ASC'
        return self._read(f'SELECT {_dialect().key}, value FROM {self._sql_name}{where} '
                          f'ORDER BY "key" {order} LIMIT ?',
                          (*(value for _, value in bounds), count))

    def _read(self, sql, parameters):
        from cloister import db
        connection = db.connect(isolation_level=None)
        try:
            return connection.execute(sql, parameters).fetchall()
        except db.DatabaseError as error:
            if self._is_missing(error):
                return []
            raise
        finally:
            connection.close()

    def _is_missing(self, error):
        return str(error).startswith((f'no such table: kv_{self._name}',
                                      f'relation "kv_{self._name}" does not exist',
                                      f"Table 'kv_{self._name}' doesn't exist"))

    def _write(self, changes):
        """Does all of [(put or delete, key, value)]; how many keys were there or are now."""
        from cloister import db
        connection = db.connect(isolation_level=None)
        try:
            connection.execute('BEGIN IMMEDIATE' if len(changes) > 1 else 'SELECT 1')
            try:
                done = self._do(connection, changes)
                if connection.in_transaction:
                    connection.execute('COMMIT')
                return done
            except BaseException:
                if connection.in_transaction:
                    connection.execute('ROLLBACK')
                raise
        finally:
            connection.close()

    def _do(self, connection, changes):
        from cloister import db
        try:
            return self._apply(connection, changes)
        except db.DatabaseError as error:
            if not self._is_missing(error):
                raise
        if not any(is_put for is_put, _, _ in changes):
            return 0
        try:
            connection.execute(f'CREATE TABLE IF NOT EXISTS {self._sql_name} {_dialect().columns}')
        except db.IntegrityError:
            # PostgreSQL's way to say that somebody else makes it at this moment.
            if db.engine() == 'sqlite':
                raise
        if len(changes) > 1 and not connection.in_transaction:
            # It ends the transaction that it is in, with MariaDB.
            connection.execute('BEGIN')
        return self._apply(connection, changes)

    def _apply(self, connection, changes):
        done = 0
        for is_put, run in _runs(changes):
            sql = (f'INSERT INTO {self._sql_name} ("key", value) VALUES (?, ?) '
                   f'ON {_dialect().replaces}' if is_put else
                   f'DELETE FROM {self._sql_name} WHERE "key" = ?')
            cursor = connection.executemany(sql, run)
            done += cursor.rowcount
        return done


class _Dialect(NamedTuple):
    """Where the SQL of a table differs between engines."""

    columns: str
    key: str = '"key"'
    replaces: str = 'CONFLICT ("key") DO UPDATE SET value = excluded.value'


_DIALECTS = {
    'sqlite': _Dialect('("key" TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID'),
    'postgresql': _Dialect('("key" TEXT PRIMARY KEY NOT NULL, value BYTEA NOT NULL)'),
    # Bytes, since an index has no room for so many characters of four.
    'mariadb': _Dialect(
        f'("key" VARBINARY({_KEY_BYTES}) PRIMARY KEY NOT NULL, value LONGBLOB NOT NULL)',
        key='CONVERT("key" USING utf8mb4)',
        replaces='DUPLICATE KEY UPDATE value = VALUES(value)'),
}


def _dialect():
    from cloister import db
    return _DIALECTS[db.engine()]


def _runs(changes):
    """Changes of one kind that follow each other, as parameters."""
    runs = []
    for is_put, key, value in changes:
        if not runs or runs[-1][0] is not is_put:
            runs.append((is_put, []))
        runs[-1][1].append((key, value) if is_put else (key,))
    return runs


class Batch:
    """Changes of one table that are done when the `with` block is left without an exception."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._changes = []

    def put(self, key: str, value: bytes) -> None:
        """As Table.put, later."""
        self._changes.append((True, _check_key(key), bytes(_check_value(value))))

    def delete(self, key: str) -> None:
        """As Table.delete, later."""
        self._changes.append((False, _check_key(key), None))

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None and self._changes:
            self._table._write(self._changes)
        self._changes = []


def table(name: str) -> Table:
    """The table of that name, which need not be there yet. Names are the app's own."""
    return Table(name)
