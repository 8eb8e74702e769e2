"""What the app says, as `cloister logs` shows it: time, version, source, level, logger, request."""

from __future__ import annotations

import datetime
import io
import json
import os
import sys
import threading
import traceback

from cloister.logging import extra_of, mark_stream, send_records, written

_LEVELS = {10: 'debug', 20: 'info', 30: 'warning', 40: 'error', 50: 'critical'}
_PLAIN = set('"=\\')
_SOURCES = ('stdout', 'stderr')
_OWN = os.path.dirname(__file__) + os.sep

# The request that this thread runs.
current = threading.local()
_lock = threading.Lock()


class Events:
    """Where events go: a line of text each, further lines of it indented."""

    def __init__(self, stream, version):
        self._stream = stream
        self._version = version
        self.mark = ''

    def say(self, source, text, level='', logger='', fields=''):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='microseconds')
        words = [now.replace('+00:00', 'Z'), self._version, self.mark, source, level, logger,
                 getattr(current, 'request_id', '')]
        lines = text.rstrip('\n').split('\n')
        lines[0] += fields
        shown = ' '.join(word for word in words if word) + '  ' + '\n    '.join(lines)
        with _lock:
            self._stream.write(shown + '\n')
            self._stream.flush()

    def traceback(self, error):
        """Says it; returns its text."""
        formatted = traceback.TracebackException.from_exception(error)
        _hide_frames(formatted)
        text = ''.join(formatted.format())
        self.say('runtime', text, 'error', 'cloister')
        return text


def _hide_frames(formatted):
    """Leaves the app's frames, and its packages'."""
    while formatted is not None:
        formatted.stack[:] = [frame for frame in formatted.stack
                              if not frame.filename.startswith(_OWN)
                              and '<frozen importlib' not in frame.filename]
        formatted = formatted.__cause__ or formatted.__context__


class _Lines(io.BufferedIOBase):
    """The bytes of the app's stdout or stderr: what is written up to a newline is an event."""

    def __init__(self, events, source):
        self._events = events
        self._source = source
        self._rest = b''

    def writable(self):
        return True

    def write(self, data):
        written.count += 1
        whole, newline, rest = bytes(data).rpartition(b'\n')
        if newline:
            whole, self._rest = self._rest + whole, rest
            self._events.say(self._source, whole.decode('utf-8', 'backslashreplace'))
        else:
            self._rest += rest
        return len(data)

    def end_line(self):
        if self._rest:
            self.write(b'\n')


def _stream(events, source):
    stream = io.TextIOWrapper(_Lines(events, source), encoding='utf-8', errors='backslashreplace',
                              newline='\n', write_through=True)
    mark_stream(stream, _SOURCES.index(source))
    return stream


def _shown(value):
    if not isinstance(value, (str, int, float, bool, type(None))):
        value = str(value)
    if isinstance(value, str) and value and not any(
            character <= ' ' or character in _PLAIN for character in value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _sink(events):
    """Takes records of logging: as events with their level, logger and fields."""
    def send(record, text):
        fields = ''.join(f' {name}={_shown(value)}'
                         for name, value in sorted(extra_of(record), key=str))
        level = _LEVELS.get(record.levelno, str(record.levelno))
        events.say('logging', text, level, record.name, fields)

    return send


def install(version):
    """Takes over stdout, stderr and logging; the events go to what stderr was."""
    events = Events(sys.stderr, version)
    sys.stdout, sys.stderr = _stream(events, 'stdout'), _stream(events, 'stderr')
    send_records(_sink(events))
    return events


def end_lines():
    """What has no end yet gets one when its request is over."""
    for stream in (sys.stdout, sys.stderr):
        lines = getattr(stream, 'buffer', None)
        if isinstance(lines, _Lines):
            lines.end_line()
