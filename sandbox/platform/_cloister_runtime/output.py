"""sys.stdout, sys.stderr and logging as events on the worker's channel."""

import io
import sys

import _cloister
from _cloister_runtime import log_fields, refusals
from cloister.logging import mark_stream, refuse_handlers, send_records, written

STDOUT, STDERR, LOGGING = 0, 1, 2


class _EventBuffer(io.BufferedIOBase):
    """The binary side of stdout or stderr. Lines are joined below, in _cloister."""

    def __init__(self, source):
        self._source = source

    def write(self, data):
        written.count += 1
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
    mark_stream(stream, source)
    return stream


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


def install():
    sys.stdout = sys.__stdout__ = _stream(STDOUT, '<stdout>', 'surrogateescape')
    sys.stderr = sys.__stderr__ = _stream(STDERR, '<stderr>', 'backslashreplace')
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')
    refuse_handlers(refusals.count)
    send_records(_send)
