"""sys.stdout, sys.stderr and logging as events on the worker's channel."""

import io
import logging
import logging.handlers
import sys
import threading

import _cloister
from _cloister_runtime import log_fields, refusals
from cloister.logging import refuse_handlers

STDOUT, STDERR, LOGGING = 0, 1, 2


class _Written(threading.local):
    """How often this thread has written to stdout or stderr."""

    count = 0


_written = _Written()


class _EventBuffer(io.BufferedIOBase):
    """The binary side of stdout or stderr. Lines are joined below, in _cloister."""

    def __init__(self, source):
        self._source = source

    def write(self, data):
        _written.count += 1
        return _cloister.write_output(self._source, data)

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        raise io.UnsupportedOperation('a worker has no file descriptors')


def _stream(source, name, errors):
    stream = io.TextIOWrapper(_EventBuffer(source), encoding='utf-8', errors=errors,
                              newline='\n', write_through=True)
    stream.mode = 'w'
    stream._cloister_source = source
    return stream


def _is_event_stream(stream):
    # By attribute: frameworks wrap sys.stderr in proxies that follow the request.
    try:
        return isinstance(getattr(stream, '_cloister_source', None), int)
    except Exception:
        return False


def _fields_of(record):
    # What an app hangs on a record must not cost it the event.
    try:
        return log_fields.encode(record)
    except Exception:
        return b''


def _send(record, text):
    level = min(max(int(record.levelno), 0), 255)
    name = str(record.name).encode('utf-8', 'backslashreplace')
    data = text.encode('utf-8', 'backslashreplace')
    _cloister.log(LOGGING, level, name, data, _fields_of(record))
    record._cloister_sent = True


def _emit_to_stream(self, record):
    """StreamHandler.emit: to our streams an event with its level, elsewhere as ever."""
    if not _is_event_stream(self.stream):
        _plain_emit(self, record)
        return
    try:
        _send(record, self.format(record))
    except RecursionError:
        raise
    except Exception:
        self.handleError(record)


_plain_emit = logging.StreamHandler.emit


def _emitting_later(plain_emit):
    """The emit of a handler that hands records on: what becomes of them is its matter."""
    def emit(self, record):
        plain_emit(self, record)
        record._cloister_sent = True

    return emit


def _call_handlers(self, record):
    """Logger.callHandlers, after which our handler knows whether one of the app's has printed."""
    record._cloister_written = _written.count
    _plain_call_handlers(self, record)


_plain_call_handlers = logging.Logger.callHandlers


def _handle_error(self, record):
    """Handler.handleError: what it prints is not the event that the handler failed to send."""
    count = _written.count
    try:
        _plain_handle_error(self, record)
    finally:
        _written.count = count


_plain_handle_error = logging.Handler.handleError


class RootHandler(logging.Handler):
    """Last on the root logger, from the start: what no handler of the app has sent, it sends."""

    def emit(self, record):
        if getattr(record, '_cloister_sent', False) or self._others_send() or \
                getattr(record, '_cloister_written', _written.count) != _written.count:
            return
        try:
            _send(record, self.format(record))
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def _others_send(self):
        return any(handler is not self and isinstance(handler, logging.StreamHandler)
                   and _is_event_stream(handler.stream) for handler in logging.root.handlers)


_root_handler = RootHandler()
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


def install():
    sys.stdout = sys.__stdout__ = _stream(STDOUT, '<stdout>', 'surrogateescape')
    sys.stderr = sys.__stderr__ = _stream(STDERR, '<stderr>', 'backslashreplace')
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')
    refuse_handlers(refusals.count)
    logging.StreamHandler.emit = _emit_to_stream
    logging.Handler.handleError = _handle_error
    for kind in (logging.handlers.QueueHandler, logging.handlers.BufferingHandler):
        kind.emit = _emitting_later(kind.emit)
    logging.Logger.callHandlers = _call_handlers
    logging.RootLogger.addHandler = _add_handler
    logging.basicConfig = _basic_config
    logging.root.addHandler(_root_handler)
    logging.lastResort = _root_handler
    # Made when logging was imported: it must not keep the zygote's stderr.
    logging.raiseExceptions = True
