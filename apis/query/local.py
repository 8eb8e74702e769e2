"""The database's stand-in: SQLite in this process, on a file that goes with it.

What sql_rules.def refuses on a node is refused here, as far as Python's sqlite3 lets us ask;
quotas are as on a node but for memory. One difference: a statement that waits for another
transaction holds its own thread only.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sqlite3
import tempfile
import threading
import time

from cloister import _local

_FOREIGN_KEYS, _LEGACY_ALTER_TABLE = 1, 2
_OPERATIONAL, _PROGRAMMING, _INTEGRITY, _DATA, _NOT_SUPPORTED, _INTERNAL, _DATABASE = range(7)
_CHANGES = ('INSERT', 'UPDATE', 'DELETE', 'REPLACE')
_BEGINS = (None, 'BEGIN', 'BEGIN IMMEDIATE', 'BEGIN EXCLUSIVE')
_BLANK = re.compile(r'(?:\s+|;|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*', re.DOTALL)
_WORD = re.compile(r'[A-Za-z]{1,16}')
_SETS_OF_ONE = 100
_LOCK_WAIT = 5.0
# How SQLite says that its authorizer refused something.
_DENIALS = ('not authorized', 'prohibited', 'authorization denied')

_ALLOWED = {
    getattr(sqlite3, 'SQLITE_' + name) for name in (
        'SELECT', 'READ', 'INSERT', 'UPDATE', 'DELETE', 'TRANSACTION', 'CREATE_TABLE',
        'ALTER_TABLE', 'DROP_TABLE', 'CREATE_INDEX', 'DROP_INDEX', 'CREATE_VIEW', 'DROP_VIEW',
        'CREATE_TRIGGER', 'DROP_TRIGGER', 'ANALYZE', 'REINDEX', 'FUNCTION', 'SAVEPOINT',
        'RECURSIVE')}
_TEMPORARY = ('temporary tables belong to a connection, and connections are shared: use a table or '
              'WITH')
_VIRTUAL = 'virtual tables bring code and files of their own'
_REFUSED = {
    sqlite3.SQLITE_ATTACH:
        'an app has one database: ATTACH, VACUUM and VACUUM INTO would open another file',
    sqlite3.SQLITE_DETACH: 'an app has one database',
    sqlite3.SQLITE_CREATE_TEMP_TABLE: _TEMPORARY,
    sqlite3.SQLITE_CREATE_TEMP_INDEX: _TEMPORARY,
    sqlite3.SQLITE_CREATE_TEMP_VIEW:
        'temporary views belong to a connection, and connections are shared: use a view or WITH',
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER:
        'temporary triggers belong to a connection, and connections are shared',
    sqlite3.SQLITE_DROP_TEMP_TABLE: 'there are no temporary tables',
    sqlite3.SQLITE_DROP_TEMP_INDEX: 'there are no temporary tables',
    sqlite3.SQLITE_DROP_TEMP_VIEW: 'there are no temporary views',
    sqlite3.SQLITE_DROP_TEMP_TRIGGER: 'there are no temporary triggers',
    sqlite3.SQLITE_CREATE_VTABLE: _VIRTUAL,
    sqlite3.SQLITE_DROP_VTABLE: _VIRTUAL,
}
_FUNCTIONS = {
    'load_extension': 'an extension is native code',
    'fts3_tokenizer': 'it takes the address of native code',
    'sqlite_compileoption_used': "it is about the node, not about the app's data",
    'sqlite_compileoption_get': "it is about the node, not about the app's data",
}
_SET = {'foreign_keys', 'legacy_alter_table', 'read_uncommitted'}
_ARGUMENT = {'foreign_key_check', 'foreign_key_list', 'table_info', 'table_xinfo', 'table_list',
             'index_list', 'index_info', 'index_xinfo', 'integrity_check', 'quick_check'}
_READ = {'database_list', 'collation_list', 'encoding', 'journal_mode', 'page_count', 'page_size',
         'freelist_count', 'schema_version', 'user_version', 'application_id'}
_LIMITS = {'LENGTH': 32 << 20, 'SQL_LENGTH': 1 << 20, 'COLUMN': 2000, 'EXPR_DEPTH': 500,
           'COMPOUND_SELECT': 500, 'ATTACHED': 0, 'LIKE_PATTERN_LENGTH': 5000,
           'VARIABLE_NUMBER': 32766, 'TRIGGER_DEPTH': 100}


_TEMPORARY_OF = {
    sqlite3.SQLITE_CREATE_TABLE: sqlite3.SQLITE_CREATE_TEMP_TABLE,
    sqlite3.SQLITE_CREATE_INDEX: sqlite3.SQLITE_CREATE_TEMP_INDEX,
    sqlite3.SQLITE_CREATE_VIEW: sqlite3.SQLITE_CREATE_TEMP_VIEW,
    sqlite3.SQLITE_CREATE_TRIGGER: sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
}


def _refusal_of(action, first, second, database):
    """Why not, or None."""
    if database == 'temp':
        action = _TEMPORARY_OF.get(action, action)
    if action == sqlite3.SQLITE_PRAGMA:
        name = (first or '').lower()
        if name not in _SET | _ARGUMENT | _READ:
            return f'PRAGMA {first} is not one of those that an app may use'
        if name in _READ and second is not None:
            return f'PRAGMA {first} can be asked for and not be set'
        return None
    if action == sqlite3.SQLITE_FUNCTION:
        reason = _FUNCTIONS.get((second or '').lower())
        return reason and f'{second.lower()}: {reason}'
    if action in _ALLOWED:
        return None
    return _REFUSED.get(action, 'this kind of statement is not one of those that an app may use')


def _regexp(pattern, text):
    return None if pattern is None or text is None else bool(re.search(pattern, str(text)))


def _failure(*details):
    from cloister.query import Failure
    return Failure(*details)


# Called with each new connection of sqlite3, for functions that the node's own database has.
preparations: list = []


class _Stand:
    """One session's connection."""

    def __init__(self, path):
        self.refusal = None
        self.ours = False
        self.end = None
        self.began = None
        self.expired = False
        self.db = sqlite3.connect(path, timeout=_LOCK_WAIT, isolation_level=None,
                                  check_same_thread=False, uri=False)
        self.db.execute('PRAGMA journal_mode=WAL')
        self.db.execute('PRAGMA synchronous=OFF')
        self.db.execute('PRAGMA temp_store=MEMORY')
        if hasattr(self.db, 'setlimit'):
            for name, value in _LIMITS.items():
                self.db.setlimit(getattr(sqlite3, 'SQLITE_LIMIT_' + name), value)
        for prepare in preparations:
            prepare(self.db)
        self.db.create_function('regexp', 2, _regexp, deterministic=True)
        self.db.set_authorizer(self._authorize)
        self.db.set_progress_handler(self._progress, 2000)

    def _authorize(self, action, first, second, database, trigger):
        refusal = None if self.ours else _refusal_of(action, first, second, database)
        if refusal is None:
            return sqlite3.SQLITE_OK
        self.refusal = refusal
        return sqlite3.SQLITE_DENY

    def _progress(self):
        return self.end is not None and time.monotonic() >= self.end

    def run(self, sql):
        self.ours = True
        try:
            return self.db.execute(sql).fetchall()
        finally:
            self.ours = False

    def flags(self):
        return (_FOREIGN_KEYS * self.run('PRAGMA foreign_keys')[0][0]
                | _LEGACY_ALTER_TABLE * self.run('PRAGMA legacy_alter_table')[0][0])

    def set_flags(self, flags):
        if self.db.in_transaction or flags == self.flags():
            return
        self.run(f'PRAGMA foreign_keys={int(bool(flags & _FOREIGN_KEYS))}')
        self.run(f'PRAGMA legacy_alter_table={int(bool(flags & _LEGACY_ALTER_TABLE))}')


_lock = threading.Lock()
_sessions: dict[int, _Stand] = {}
_directory = None
_bucket = None


def _path():
    global _directory
    if _directory is None:
        _directory = tempfile.mkdtemp(prefix='cloister-query-')
        atexit.register(shutil.rmtree, _directory, True)
    return os.path.join(_directory, 'query.db')


def forget():
    """An empty database."""
    global _directory, _bucket
    with _lock:
        for stand in _sessions.values():
            stand.db.close()
        _sessions.clear()
        if _directory is not None:
            shutil.rmtree(_directory, ignore_errors=True)
        _directory = None
        _bucket = None


def _meter(cost):
    global _bucket
    with _lock:
        if _bucket is None:
            _bucket = _local.Bucket(_local.clock, _local.quotas['query.statements'])
        refused = _bucket.take(cost)
    if refused is None:
        return
    used, wait = refused
    raise _refused(None, 'query.statements', used, wait)


def _refused(stand, quota, used, wait=None):
    in_transaction = int(stand is not None and stand.db.in_transaction)
    return _failure('refused', in_transaction, 0, quota, _local.quotas[quota], used,
                    int((wait or 0) * 1000))


def _renew_meter():
    global _bucket
    _bucket = None


_local.resets.append(forget)
_local.limit_listeners.append(_renew_meter)


def _session(number):
    with _lock:
        stand = _sessions.get(number)
        if stand is None:
            stand = _sessions[number] = _Stand(_path())
        return stand


def _let_go(number, stand):
    """Sessions without a transaction need no connection."""
    if stand.db.in_transaction:
        return
    stand.began = None
    with _lock:
        if len(_sessions) > 64:
            _sessions.pop(number, None)


def _first_word(sql):
    found = _WORD.match(sql, _BLANK.match(sql).end())
    return found.group().upper() if found else ''


def _check_transactions(number, stand, begin, word):
    limit = _local.quotas['query.transactions']
    if stand.db.in_transaction:
        if time.monotonic() - stand.began < _local.quotas['query.transaction_time'] / 1000:
            return
        stand.run('ROLLBACK')
        raise _failure('failed', 0, -1, _OPERATIONAL, 'transaction_expired',
                       'the transaction was open for longer than query.transaction_time and was '
                       'rolled back')
    if word not in ('BEGIN', 'SAVEPOINT') and not (begin and word in _CHANGES):
        return
    with _lock:
        used = sum(each.db.in_transaction for each in _sessions.values())
    if used >= limit:
        raise _refused(stand, 'query.transactions', used + 1, 1.0)


def _classified(stand, error):
    message = str(error)
    in_transaction = int(stand.db.in_transaction)
    if stand.refusal is not None and any(word in message for word in _DENIALS):
        return _failure('failed', in_transaction, -1, _NOT_SUPPORTED, 'sql_refused',
                        stand.refusal)
    if message == 'interrupted':
        limit = _local.quotas['query.statement']
        return _refused(stand, 'query.statement', limit + 1)
    if message == 'database or disk is full':
        limit = _local.quotas['query.bytes']
        return _refused(stand, 'query.bytes', limit + 4096)
    kind, code = _OPERATIONAL, 'sql_error'
    if 'locked' in message:
        code = 'database_locked'
    elif 'You can only execute one statement' in message:
        kind, code = _PROGRAMMING, 'sql_several'
    elif isinstance(error, sqlite3.IntegrityError):
        kind = _INTEGRITY
    elif isinstance(error, sqlite3.DataError):
        kind = _DATA
    elif isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.Warning)):
        kind = _PROGRAMMING
        if 'binding' in message:
            code = 'sql_parameters'
    elif isinstance(error, sqlite3.InternalError):
        kind = _INTERNAL
    elif type(error) is sqlite3.DatabaseError:
        kind, code = _DATABASE, 'database_damaged'
    return _failure('failed', in_transaction, -1, kind, code, message)


def _declared(stand, sql, columns):
    """The declared types of the columns: of plain columns of one table, as far as can be seen."""
    found = re.search(r'\bFROM\s+["`\[]?(\w+)', sql, re.IGNORECASE)
    if found is None:
        return dict.fromkeys(columns)
    rows = stand.run(f'PRAGMA table_info("{found.group(1)}")')
    types = {row[1].lower(): row[2] or None for row in rows}
    return {name: types.get(name.partition(' [')[0].lower()) for name in columns}


def _fetch(stand, cursor, sql):
    if cursor.description is None:
        return (), []
    names = [column[0] for column in cursor.description]
    limit, size, rows = _local.quotas['query.result'], 0, []
    for row in cursor:
        rows.append(row)
        size += sum(5 + len(value.encode() if isinstance(value, str) else value)
                    if isinstance(value, (str, bytes)) else 9 for value in row)
        if size > limit:
            raise _refused(stand, 'query.result', size)
    declared = _declared(stand, sql, names)
    return tuple((name, declared[name]) for name in names), rows


def _plain(parameters):
    if isinstance(parameters, dict):
        return parameters
    return tuple(parameters)


def _guard(stand, word, many, sql):
    """Whether a savepoint of ours is around the statement: what is refused is gone as a whole."""
    returns = re.search(r'\bRETURNING\b', sql, re.IGNORECASE)
    if word not in (*_CHANGES, 'WITH') or not (many or returns):
        return False
    stand.run('SAVEPOINT cloister_statement')
    return True


def _perform(stand, begin, many, word, sql, parameters):
    if many and word not in _CHANGES:
        raise _failure('failed', int(stand.db.in_transaction), -1, _PROGRAMMING, 'sql_many',
                       'executemany() can only execute INSERT, UPDATE, DELETE and REPLACE.')
    began = bool(begin and word in _CHANGES and not stand.db.in_transaction)
    if began:
        stand.run(_BEGINS[begin])
    guarded = False
    try:
        guarded = _guard(stand, word, many, sql)
        cursor = stand.db.cursor()
        if many:
            cursor.executemany(sql, [_plain(each) for each in parameters])
            result = (), []
        else:
            cursor.execute(sql, _plain(parameters))
            result = _fetch(stand, cursor, sql)
        if guarded:
            stand.run('RELEASE cloister_statement')
        return cursor, result
    except BaseException:
        stand.end = None
        if guarded and stand.db.in_transaction:
            stand.run('ROLLBACK TO cloister_statement')
            stand.run('RELEASE cloister_statement')
        if began and stand.db.in_transaction:
            stand.run('ROLLBACK')
        raise


def _check_sql(sql):
    if '\0' in sql:
        raise _failure('failed', 0, -1, _PROGRAMMING, 'sql_error',
                       'the statement contains a null character')


def run(session, begin, flags, many, last_row_id, sql, parameters):
    """One statement, as _cloister.query of a worker (sandbox/worker/query.h)."""
    word = _first_word(sql)
    sets = len(parameters) if many else 1
    _meter(max(1, -(-sets // _SETS_OF_ONE)))
    _check_sql(sql)
    stand = _session(session)
    stand.refusal = None
    _check_transactions(session, stand, begin, word)
    try:
        stand.set_flags(flags)
        pages = max(1, _local.quotas['query.bytes'] // 4096)
        stand.run(f'PRAGMA max_page_count={pages}')
        stand.end = time.monotonic() + _local.quotas['query.statement'] / 1000
        cursor, (columns, rows) = _perform(stand, begin, many, word, sql, parameters)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _classified(stand, error) from None
    finally:
        stand.end = None
        if stand.db.in_transaction and stand.began is None:
            stand.began = time.monotonic()
        _let_go(session, stand)
    inserted = word in ('INSERT', 'REPLACE') and not many
    return (int(stand.db.in_transaction), stand.flags(),
            cursor.rowcount if word in _CHANGES else -1,
            cursor.lastrowid if inserted else None, columns, rows)

