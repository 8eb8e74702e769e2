"""The fields of a record of logging: what `extra=` and an exception add to its text.

Encoded as apis/wire/event_fields.h reads them: name (u16 length, bytes), kind, value; to the end.
"""

import logging
import struct

from _cloister_runtime import report
from cloister.logging import extra_of

FIELDS_MAX = 64
BYTES_MAX = 16 * 1024
NAME_MAX = 100
TEXT_MAX = 4 * 1024
TRACEBACK_MAX = 8 * 1024
# Says in the event how many fields there was no room for.
LEFT_OUT = 'fields_left_out'

_NONE, _FALSE, _TRUE, _INTEGER, _REAL, _TEXT = range(6)
_CUT = report.CUT.encode()
_ROOM_FOR_LEFT_OUT = 64


def _plain_text(value):
    """The value as text, whatever its __str__ and __repr__ do."""
    for show in (str, repr):
        try:
            return show(value)
        except Exception:
            continue
    return f'<{type(value).__name__} that cannot be shown>'


def _utf8(text, most):
    # A character takes at least a byte: what is beyond is not even encoded.
    data = text[:most + 1].encode('utf-8', 'backslashreplace')
    if len(data) <= most:
        return data
    return data[:most - len(_CUT)].decode('utf-8', 'ignore').encode() + _CUT


def _utf8_end(text, most):
    """The last whole lines of a text: of a traceback they say what happened."""
    data = text[-most - 1:].encode('utf-8', 'backslashreplace')
    if len(data) <= most:
        return data
    lines = report.whole_lines(data[-most + len(_CUT):].decode('utf-8', 'ignore'))
    return _CUT + b'\n' + lines.encode() if lines else _utf8(report.last_line(text), most)


def _text(data):
    return struct.pack('<BH', _TEXT, len(data)) + data


def _value(value):
    kind = type(value)
    if value is None:
        return bytes([_NONE])
    if kind is bool:
        return bytes([_TRUE if value else _FALSE])
    if kind is int and -1 << 63 <= value < 1 << 63:
        return struct.pack('<Bq', _INTEGER, value)
    # Neither infinite nor no number: JSON has no such.
    if kind is float and value - value == 0:
        return struct.pack('<Bd', _REAL, value)
    return _text(_utf8(value if kind is str else _plain_text(value), TEXT_MAX))


def _field(name, value):
    data = _utf8(name if type(name) is str else _plain_text(name), NAME_MAX)
    return struct.pack('<H', len(data)) + data + value


def _exception_text(record):
    """The traceback as the text of the event has it, when it has one."""
    if record.exc_info and not record.exc_info[0]:
        return ''  # "NoneType: None": there was no exception
    if record.exc_text or not record.exc_info:
        return record.exc_text or ''
    return logging._defaultFormatter.formatException(record.exc_info)


def _fields(record):
    for name, value in extra_of(record):
        yield _field(name, _value(value))
    if exception := _exception_text(record):
        yield _field('exc_info', _text(_utf8_end(exception, TRACEBACK_MAX)))
    if record.stack_info:
        yield _field('stack_info', _text(_utf8_end(str(record.stack_info), TRACEBACK_MAX)))


def encode(record):
    """The record's fields as bytes; of what goes beyond the limits a count is left."""
    encoded = []
    left_out = 0
    room = BYTES_MAX - _ROOM_FOR_LEFT_OUT
    for field in _fields(record):
        if len(field) > room or len(encoded) >= FIELDS_MAX - 1:
            left_out += 1
            continue
        room -= len(field)
        encoded.append(field)
    if left_out:
        encoded.append(_field(LEFT_OUT, _value(left_out)))
    return b''.join(encoded)
