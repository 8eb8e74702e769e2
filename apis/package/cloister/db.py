"""SQL on the app's own database: a driver of PEP 249, to be used like Python's sqlite3.

    import cloister.db

    with cloister.db.connect() as connection:
        connection.execute('INSERT INTO orders (item) VALUES (?)', ('tea',))

There is one database, SQLite unless the node's operator has named a server (engine() says which);
connect() takes no name. What commit() has acknowledged survives a crash of everything. Statements
run in a process of the app's own, away from the worker, and within the app's quotas: beyond one of
them QuotaExceeded is raised, which is an OperationalError and a cloister.QuotaExceeded.
docs/apps/query.md says what is refused, and why.
"""

from __future__ import annotations

import collections.abc
import itertools
import threading
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence, Union

import cloister
from cloister import _sql_server, _sql_values
from cloister._sql_server import engine
from cloister._sql_values import (BINARY, DATETIME, NUMBER, ROWID, STRING, Binary, Date,
                                  DateFromTicks, Time, TimeFromTicks, Timestamp,
                                  TimestampFromTicks, register_adapter, register_converter)
from cloister._sql_values import adapt as _adapt
from cloister._sql_values import complete_statement
from cloister._sql_values import converters as _converters
from cloister._sql_values import is_plain as _is_plain
from cloister._transport import query as _query
from cloister._transport import query_epoch as _query_epoch
from cloister.query import Failure as _Failure

__all__ = [
    'Binary', 'BINARY', 'Connection', 'Cursor', 'DATETIME', 'DataError', 'DatabaseError', 'Date',
    'DateFromTicks', 'Error', 'IntegrityError', 'InterfaceError', 'InternalError', 'NUMBER',
    'NotSupportedError', 'OperationalError', 'PARSE_COLNAMES', 'PARSE_DECLTYPES',
    'ProgrammingError', 'QuotaExceeded', 'ROWID', 'Row', 'STRING', 'Time', 'TimeFromTicks',
    'Timestamp', 'TimestampFromTicks', 'Warning', 'apilevel', 'complete_statement', 'connect',
    'engine', 'paramstyle', 'register_adapter', 'register_converter', 'sqlite_version',
    'sqlite_version_info', 'threadsafety']

apilevel = '2.0'
threadsafety = 1
paramstyle = 'qmark'
sqlite_version = '3.40.1'
sqlite_version_info = (3, 40, 1)

PARSE_DECLTYPES = 1
PARSE_COLNAMES = 2

Parameters = Union[Sequence[Any], Mapping[str, Any]]

# Rows of parameters that travel together, and about how many bytes.
_SETS = 5000
_SETS_BYTES = 4 << 20
_BEGINS = {None: 0, '': 1, 'DEFERRED': 1, 'IMMEDIATE': 2, 'EXCLUSIVE': 3}


class Warning(Exception):  # noqa: A001 (the name is PEP 249's)
    """Of PEP 249; nothing here raises it."""


class Error(Exception):
    """What all errors of this module are."""

    code: str | None = None
    """Stable, where there is one; docs/errors.md has a section for each."""


class InterfaceError(Error):
    """An error of the driver rather than of the database."""


class DatabaseError(Error):
    """What all errors of the database are; by itself: its file is damaged."""


class DataError(DatabaseError):
    """A value that is too large."""


class OperationalError(DatabaseError):
    """Out of reach, locked for too long, no such table, a mistake in the SQL."""


class IntegrityError(DatabaseError):
    """A constraint would be broken."""


class InternalError(DatabaseError):
    """The database is in a state that it should never be in."""


class ProgrammingError(DatabaseError):
    """A mistake in how the driver is used: wrong parameters, several statements, what is closed."""


class NotSupportedError(DatabaseError):
    """What apps may not do: ATTACH, temporary tables, most PRAGMAs."""


class QuotaExceeded(OperationalError, cloister.QuotaExceeded):
    """Beyond a quota; nothing of the statement was done."""

    def __init__(self, quota: str, limit: int, used: int,
                 retry_after: float | None = None) -> None:
        cloister.QuotaExceeded.__init__(self, quota, limit, used, retry_after)
        self.code = 'quota_exceeded'

    def __reduce__(self):
        return type(self), (self.quota, self.limit, self.used, self.retry_after)


_CLASSES = (OperationalError, ProgrammingError, IntegrityError, DataError, NotSupportedError,
            InternalError, DatabaseError)


def _adapt_for_server(value):
    return _adapt(_sql_server.driver().adapted(value))


def _adapted(parameters):
    """The parameters as the transport takes them: a dict, or a list or tuple."""
    adapt = _adapt if engine() == 'sqlite' else _adapt_for_server
    if isinstance(parameters, (list, tuple)) and adapt is _adapt and _is_plain(parameters):
        return parameters
    if isinstance(parameters, Mapping):
        return {name: adapt(value) for name, value in parameters.items()}
    if isinstance(parameters, (str, bytes)) or not isinstance(parameters, collections.abc.Iterable):
        raise ProgrammingError('parameters are a sequence or a mapping')
    return [adapt(value) for value in parameters]


class Row(collections.abc.Sequence):
    """A row whose values are named, too: `connection.row_factory = cloister.db.Row`."""

    __slots__ = ('_names', '_values')

    def __init__(self, cursor: Cursor, values: tuple[Any, ...]) -> None:
        self._names = [column[0] for column in cursor.description]
        self._values = tuple(values)

    def keys(self) -> list[str]:
        """The names of the columns."""
        return list(self._names)

    def __getitem__(self, key):
        if not isinstance(key, str):
            return self._values[key]
        for name, value in zip(self._names, self._values):
            if name == key or name.lower() == key.lower():
                return value
        raise IndexError('No item with that key')

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __hash__(self) -> int:
        return hash((tuple(self._names), self._values))

    def __eq__(self, other):
        if isinstance(other, Row):
            return self._names == other._names and self._values == other._values
        return NotImplemented

    def __repr__(self) -> str:
        return f'<cloister.db.Row {dict(zip(self._names, self._values))!r}>'


class Cursor:
    """Runs statements and holds the rows of the last one."""

    arraysize: int = 1
    description: tuple[tuple[Any, ...], ...] | None = None
    """(name, None, None, None, None, None, None) of each column; None: there are no rows."""
    rowcount: int = -1
    """Rows that the last INSERT, UPDATE, DELETE or REPLACE changed; -1: it was none of these."""
    lastrowid: int | None = None
    """The row id of the connection's last INSERT or REPLACE that was no executemany; on a server
    the number, if it is one, that this INSERT was RETURNING first, or that MariaDB gave the row."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.row_factory = connection.row_factory
        self._rows = []
        self._place = 0
        self._closed = False

    def _check(self):
        if self._closed:
            raise ProgrammingError('Cannot operate on a closed cursor.')
        self.connection._check()

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Runs one statement; returns this cursor."""
        self._check()
        self._forget()
        result = self.connection._run(sql, False, _adapted(parameters))
        self._take(result)
        self.lastrowid = self.connection._last_row_id if engine() == 'sqlite' else result[3]
        return self

    def executemany(self, sql: str, seq_of_parameters: Iterable[Parameters]) -> Cursor:
        """Runs an INSERT, UPDATE, DELETE or REPLACE once for each of the parameters.

        What one call sends together (about 5,000 rows or 4 MiB) is done as a whole or not at all.
        """
        self._check()
        self._forget()
        total = 0
        for sets in _portions(seq_of_parameters):
            total += self.connection._run(sql, True, sets)[2]
        self.rowcount = total
        return self

    def executescript(self, sql_script: str) -> Cursor:
        """Commits, then runs the statements of a script, one after another."""
        self._check()
        self._forget()
        self.connection.commit()
        for statement in _statements(sql_script):
            self.connection._run(statement, False, (), begin=False)
        return self

    def _forget(self):
        self._rows = []
        self._place = 0
        self.description = None
        self.rowcount = -1

    def _take(self, result):
        changed, columns, rows = result[2], result[4], result[5]
        self.rowcount = changed
        if not columns:
            return
        self.description = tuple(
            (self.connection._column_name(name), None, None, None, None, None, None)
            for name, _ in columns)
        factory = self.connection.text_factory
        if engine() != 'sqlite':
            converters = _sql_server.driver().converters_of(columns)
            if converters is not None:
                rows = [_sql_server.converted(row, converters) for row in rows]
            converters = None
        else:
            converters = self.connection._converters_of(columns)
        if converters is not None or factory is not str:
            rows = [_sql_values.converted(row, converters, factory) for row in rows]
        self._rows = rows

    def _next(self):
        row = self._rows[self._place]
        self._place += 1
        return row if self.row_factory is None else self.row_factory(self, row)

    def fetchone(self) -> Any:
        """The next row, or None."""
        self._check()
        return self._next() if self._place < len(self._rows) else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows (`arraysize` without it), or as many as are left."""
        self._check()
        count = min(self.arraysize if size is None else size, len(self._rows) - self._place)
        return [self._next() for _ in range(count)]

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        self._check()
        if self.row_factory is None:
            rows = self._rows[self._place:] if self._place else self._rows
            self._rows, self._place = [], 0
            return rows
        return [self._next() for _ in range(len(self._rows) - self._place)]

    def __iter__(self) -> Cursor:
        return self

    def __next__(self) -> Any:
        self._check()
        if self._place >= len(self._rows):
            raise StopIteration
        return self._next()

    def close(self) -> None:
        """Forgets the rows; the cursor is of no use any more. What it counted stays."""
        self._rows = []
        self._place = 0
        self._closed = True

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Of PEP 249; does nothing."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Of PEP 249; does nothing."""


def _size_of(parameters):
    values = parameters.values() if isinstance(parameters, dict) else parameters
    return sum(len(value) if isinstance(value, (str, bytes)) else 16 for value in values)


def _portions(sets):
    """Lists of adapted parameters, none too large for one call."""
    portion, size = [], 0
    for each in sets:
        adapted = _adapted(each)
        portion.append(adapted)
        size += _size_of(adapted)
        if len(portion) == _SETS or size > _SETS_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _statements(script):
    """The statements of a script."""
    return (_sql_values if engine() == 'sqlite' else _sql_server.driver()).statements(script)


_sessions = itertools.count(1)
_sessions_lock = threading.Lock()


def _new_session():
    with _sessions_lock:
        return next(_sessions)


class Connection:
    """One line of statements and transactions. Threads do not share it."""

    Error = Error
    Warning = Warning
    InterfaceError = InterfaceError
    DatabaseError = DatabaseError
    DataError = DataError
    OperationalError = OperationalError
    IntegrityError = IntegrityError
    InternalError = InternalError
    ProgrammingError = ProgrammingError
    NotSupportedError = NotSupportedError

    def __init__(self, isolation_level: str | None = '', detect_types: int = 0) -> None:
        self._closed = True
        self._session = _new_session()
        self._begin = _begin_of(isolation_level)
        self._isolation_level = isolation_level
        self._detect_types = detect_types
        self._flags = 0
        self._last_row_id = 0
        self._in_transaction = self._unsure = False
        self._epoch = _query_epoch()
        self._changes = 0
        self.row_factory = None
        self.text_factory = str
        self._closed = False

    # --- statements

    def _check(self):
        if self._closed:
            raise ProgrammingError('Cannot operate on a closed database.')

    def _run(self, sql, many, parameters, begin=True):
        if not isinstance(sql, str):
            raise TypeError(f'a statement is a str, not {type(sql).__name__}')
        if self._in_transaction and self._epoch != _query_epoch():
            self._in_transaction = False
            raise _lost('the process of the database ended meanwhile, and with it the transaction')
        if engine() != 'sqlite':
            return self._run_on_server(sql, many, parameters, begin)
        return self._send(sql, many, parameters, begin)

    def _run_on_server(self, sql, many, parameters, begin):
        try:
            numbered = _sql_server.driver().numbered(sql, many, parameters)
        except KeyError as missing:
            raise ProgrammingError('You did not supply a value for binding parameter '
                                   f':{missing.args[0]}.') from None
        except ValueError as wrong:
            raise ProgrammingError(str(wrong)) from None
        try:
            return self._send(numbered[0], many, numbered[1], begin)
        except ProgrammingError as error:
            again = _sql_server.driver().written_out(sql, many, parameters, str(error))
            if again is None:
                raise
        return self._send(again[0], many, again[1], begin)

    def _send(self, sql, many, parameters, begin):
        # An exception that is kept in a variable would keep the frame, and with it the connection.
        try:
            result = _query(self._session, self._begin if begin else 0, self._flags, many,
                            self._last_row_id, sql, parameters)
        except _Failure as failure:
            raise self._error_of(failure.args) from None
        except UnicodeEncodeError as wrong:
            raise ProgrammingError(f'Could not encode as UTF-8: {wrong}') from None
        except TypeError as wrong:
            raise ProgrammingError(f'Error binding parameter: {wrong}') from None
        except BaseException:
            # It may have begun a transaction: whoever undoes it asks the database.
            self._in_transaction = self._unsure = True
            self._epoch = _query_epoch()
            raise
        self._epoch = _query_epoch()
        self._in_transaction, self._unsure, self._flags = bool(result[0]), False, result[1]
        if result[3] is not None and not many:
            self._last_row_id = result[3]
        self._changes += max(0, result[2])
        return result

    def _error_of(self, details):
        kind, in_transaction, flags = details[:3]
        self._in_transaction, self._unsure = bool(in_transaction), False
        self._epoch = _query_epoch()
        if kind == 'refused':
            quota, limit, used, wait = details[3:]
            return QuotaExceeded(quota, limit, used, wait / 1000 if wait else None)
        if flags >= 0:
            self._flags = flags
        number, code, message = details[3:]
        error = _CLASSES[min(number, len(_CLASSES) - 1)](message)
        error.code = code
        return error

    def cursor(self, factory: Callable[[Connection], Cursor] = Cursor) -> Any:
        """A new cursor."""
        self._check()
        return factory(self)

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Runs one statement on a new cursor, which is returned."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, seq_of_parameters: Iterable[Parameters]) -> Cursor:
        """Cursor.executemany on a new cursor."""
        return self.cursor().executemany(sql, seq_of_parameters)

    def executescript(self, sql_script: str) -> Cursor:
        """Cursor.executescript on a new cursor."""
        return self.cursor().executescript(sql_script)

    # --- transactions

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._in_transaction

    @property
    def isolation_level(self) -> str | None:
        """How a statement that changes rows begins a transaction: '' (DEFERRED), 'DEFERRED',
        'IMMEDIATE', 'EXCLUSIVE', or None: it does not. Setting None commits."""
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        """None commits."""
        begin = _begin_of(level)
        if level is None:
            self.commit()
        self._begin, self._isolation_level = begin, level

    @property
    def total_changes(self) -> int:
        """Rows that were changed by this connection."""
        return self._changes

    def commit(self) -> None:
        """Ends the transaction, if there is one; what it did is safe when this returns."""
        self._check()
        if self._in_transaction:
            self._end('COMMIT')

    def rollback(self) -> None:
        """Undoes the transaction, if there is one."""
        self._check()
        if self._in_transaction and self._epoch == _query_epoch():
            self._end('ROLLBACK')
        self._in_transaction = self._unsure = False

    def _end(self, how):
        unsure = self._unsure
        try:
            self._run(how, False, (), begin=False)
        except OperationalError:
            # There was none.
            if not unsure or self._in_transaction:
                raise

    def close(self) -> None:
        """Undoes what is not committed; the connection is of no use any more."""
        if self._closed:
            return
        try:
            self.rollback()
        except Error:
            self._in_transaction = False
        self._closed = True

    def __enter__(self) -> Connection:
        self._check()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            try:
                self.commit()
            except BaseException:
                self.rollback()
                raise
        else:
            self.rollback()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:
            self._closed = True

    # --- what columns are made of

    def _column_name(self, name):
        if self._detect_types & PARSE_COLNAMES and name is not None:
            return name.partition(' [')[0]
        return name

    def _converter_of(self, name, declared):
        if self._detect_types & PARSE_COLNAMES and name and name.endswith(']') and '[' in name:
            found = _converters.get(name[name.rindex('[') + 1:-1].upper())
            if found is not None:
                return found
        if self._detect_types & PARSE_DECLTYPES and declared:
            return _converters.get(declared.partition('(')[0].partition(' ')[0].upper())
        return None

    def _converters_of(self, columns):
        if not self._detect_types:
            return None
        found = [self._converter_of(name, declared) for name, declared in columns]
        return found if any(found) else None

    # --- what sqlite3 has and a database in another process has not

    def _refuse(self, *args, **kwargs):
        raise NotSupportedError('the database runs in another process: code of the app cannot be '
                                'part of it')

    create_function = create_aggregate = create_collation = create_window_function = _refuse
    set_authorizer = set_progress_handler = set_trace_callback = _refuse
    enable_load_extension = load_extension = backup = blobopen = serialize = deserialize = _refuse
    interrupt = _refuse


def _lost(message):
    error = OperationalError(message)
    error.code = 'database_lost'
    return error


def _begin_of(level):
    if level is not None and not isinstance(level, str):
        raise TypeError('isolation_level must be a string or None')
    begin = _BEGINS.get(level if level is None else level.upper())
    if begin is None:
        raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or "
                         "'EXCLUSIVE'")
    return begin


def connect(*, isolation_level: str | None = '', detect_types: int = 0) -> Connection:
    """A connection to the app's database. Costs nothing until its first statement.

    `isolation_level` and `detect_types` are as those of sqlite3.connect.
    """
    return Connection(isolation_level, detect_types)
