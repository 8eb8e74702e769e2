"""What Python's own `logging` is in an app: nothing here needs to be imported by one.

Handlers that want what a worker has not are refused where they are made. None of this is the wall:
without it they fail as well, some only when the first record comes.
"""

from __future__ import annotations

import errno
import logging
import logging.config
import logging.handlers
from typing import Any, Callable, Iterator

_INSTEAD = 'use StreamHandler: `cloister logs` keeps and searches what it prints'
_FILES = 'writes files, which a worker has not'
_NETWORK = 'sends over the network, which a worker has not'

# Each with what it wants. Those derived from them come out by their own names.
_REFUSED = {
    logging.FileHandler: _FILES,
    logging.handlers.SocketHandler: _NETWORK,
    logging.handlers.SysLogHandler: 'writes to the log of the system, which a worker has not',
    logging.handlers.NTEventLogHandler: 'writes to the event log of Windows, which is not here',
    logging.handlers.SMTPHandler: 'sends mail over the network, which a worker has not',
    logging.handlers.HTTPHandler: _NETWORK,
}
_STANDARD_MODULES = ('logging', 'logging.handlers')
# What every record has, and what formatters put there; all else is the app's.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {'message', 'asctime', 'taskName'}
_OWN = '_cloister_'


def _refusal(message):
    """An OSError, as a file that cannot be opened would be."""
    error = PermissionError(message)
    error.errno = errno.EPERM
    error._cloister_refusal = True
    return error


def _standard_name(handler):
    """The name of the class that the app knows from the documentation, behind its own."""
    for kind in type(handler).__mro__:
        if kind.__module__ in _STANDARD_MODULES:
            return kind.__name__
    return type(handler).__name__


def _refusing(why, count):
    def __init__(self, *args, **kwargs):
        name = _standard_name(self)
        message = f'{name} {why}; {_INSTEAD}'
        count(name, message)
        raise _refusal(message)

    return __init__


def _refusal_behind(error):
    while error is not None and not hasattr(error, '_cloister_refusal'):
        error = error.__cause__ or error.__context__
    return error


def _dict_config(config):
    """logging.config.dictConfig, which hides the reason behind 'Unable to configure handler'."""
    try:
        _plain_dict_config(config)
    except ValueError as error:
        refusal = _refusal_behind(error)
        if refusal is None:
            raise
        message = f'{error}: {refusal}'
    else:
        return
    raise _refusal(message)


_plain_dict_config = logging.config.dictConfig


def refuse_handlers(count: Callable[[str, str], Any]) -> None:
    """From now on. Each refusal is also told to count(name of the handler, reason)."""
    for kind, why in _REFUSED.items():
        kind.__init__ = _refusing(why, count)
    logging.config.dictConfig = _dict_config


def extra_of(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """Yields (name, value) of what the app's `extra` and its filters put on a record."""
    for name, value in list(vars(record).items()):
        if name not in _STANDARD and not (type(name) is str and name.startswith(_OWN)):
            yield name, value
