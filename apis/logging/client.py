"""What Python's own `logging` is in an app: nothing here needs to be imported by one.

Records become events with their level, logger and fields, on a node and in its stand-in; handlers
that want what a worker has not are refused where they are made. None of this is the wall: without
it they fail as well, some only when the first record comes.
"""

from __future__ import annotations

import errno
import logging
import logging.config
import logging.handlers
import threading
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


class _Written(threading.local):
    """How often this thread has written to stdout or stderr: whoever makes these streams counts."""

    count = 0


written = _Written()


def mark_stream(stream: Any, source: int) -> None:
    """Makes it one whose lines are events: so are the records that a StreamHandler gives it."""
    stream._cloister_source = source


def _is_event_stream(stream):
    # By attribute: frameworks wrap sys.stderr in proxies that follow the request.
    try:
        return isinstance(getattr(stream, '_cloister_source', None), int)
    except Exception:
        return False


# Takes (record, text): makes an event of it.
_sink: Callable[[logging.LogRecord, str], Any] = lambda record, text: None


def _send(handler, record):
    try:
        _sink(record, handler.format(record))
        record._cloister_sent = True
    except RecursionError:
        raise
    except Exception:
        handler.handleError(record)


def _emit_to_stream(self, record):
    """StreamHandler.emit: to our streams an event with its level, elsewhere as ever."""
    if _is_event_stream(self.stream):
        _send(self, record)
    else:
        _plain_emit(self, record)


_plain_emit = logging.StreamHandler.emit


def _emitting_later(plain_emit):
    """The emit of a handler that hands records on: what becomes of them is its matter."""
    def emit(self, record):
        plain_emit(self, record)
        record._cloister_sent = True

    return emit


def _call_handlers(self, record):
    """Logger.callHandlers, after which our handler knows whether one of the app's has printed."""
    record._cloister_written = written.count
    _plain_call_handlers(self, record)


_plain_call_handlers = logging.Logger.callHandlers


def _handle_error(self, record):
    """Handler.handleError: what it prints is not the event that the handler failed to send."""
    count = written.count
    try:
        _plain_handle_error(self, record)
    finally:
        written.count = count


_plain_handle_error = logging.Handler.handleError


class _RootHandler(logging.Handler):
    """Last on the root logger, from the start: what no handler of the app has sent, it sends."""

    def emit(self, record):
        if getattr(record, '_cloister_sent', False) or self._others_send() or \
                getattr(record, '_cloister_written', written.count) != written.count:
            return
        _send(self, record)

    def _others_send(self):
        return any(handler is not self and isinstance(handler, logging.StreamHandler)
                   and _is_event_stream(handler.stream) for handler in logging.root.handlers)


_root_handler = _RootHandler()
_plain_basic_config = logging.basicConfig
_plain_add_handler = logging.Logger.addHandler


def _add_handler(self, handler):
    """RootLogger.addHandler, which keeps ours the last."""
    _plain_add_handler(self, handler)
    if handler is not _root_handler and _root_handler in self.handlers:
        self.handlers.remove(_root_handler)
        self.handlers.append(_root_handler)


def _basic_config(**kwargs):
    """logging.basicConfig, for which our handler does not count."""
    root = logging.root
    only_ours = root.handlers == [_root_handler]
    if only_ours:
        root.removeHandler(_root_handler)
    try:
        _plain_basic_config(**kwargs)
    finally:
        if only_ours:
            root.addHandler(_root_handler)


def send_records(sink: Callable[[logging.LogRecord, str], Any]) -> None:
    """From now on records go to sink(record, text): by a StreamHandler on a marked stream, else, if
    no handler of the app's has sent or printed them, by one that comes last on the root logger."""
    global _sink
    _sink = sink
    logging.StreamHandler.emit = _emit_to_stream
    logging.Handler.handleError = _handle_error
    for kind in (logging.handlers.QueueHandler, logging.handlers.BufferingHandler):
        kind.emit = _emitting_later(kind.emit)
    logging.Logger.callHandlers = _call_handlers
    logging.RootLogger.addHandler = _add_handler
    logging.basicConfig = _basic_config
    logging.root.addHandler(_root_handler)
    logging.lastResort = _root_handler
    logging.raiseExceptions = True
