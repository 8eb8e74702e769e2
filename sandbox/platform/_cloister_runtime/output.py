"""sys.stdout, sys.stderr and logging as events on the worker's channel."""

import io
import logging
import sys

import _cloister

STDOUT, STDERR, LOGGING = 0, 1, 2


class _EventBuffer(io.BufferedIOBase):
    """The binary side of stdout or stderr. Lines are joined below, in _cloister."""

    def __init__(self, source):
        self._source = source

    def write(self, data):
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


def _send(record, text):
    data = text.encode('utf-8', 'backslashreplace')
    _cloister.log(LOGGING, record.levelno, record.name, data)
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


class RootHandler(logging.Handler):
    """On the root logger from the start: what no handler of the app has sent, it sends."""

    def emit(self, record):
        if getattr(record, '_cloister_sent', False) or self._others_send():
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
    logging.StreamHandler.emit = _emit_to_stream
    logging.basicConfig = _basic_config
    logging.root.addHandler(_root_handler)
    logging.lastResort = _root_handler
    # Made when logging was imported: it must not keep the zygote's stderr.
    logging.raiseExceptions = True
