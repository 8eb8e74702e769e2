"""The stand-in of persistence: its calls as the node answers them, in this process's memory."""

from __future__ import annotations

import bisect
import hashlib

from cloister import _local

PIECE_MAX = 1 << 20
CALL_MAX = PIECE_MAX + (64 << 10)
LIST_MAX = 1000
NAME_MAX = 1024
NAME_BYTES = 1024
STREAMS_MAX = 32
_ID_BYTES = 32
_ANY, _EXPECTED = range(2)
_CHANGED, _PUT, _NO_OBJECT = range(3)
_MISSING, _DELETED, _NAMED = range(3)


class _Store:
    """Objects, names and what is being written."""

    def __init__(self):
        self.forget()
        self.begin_metering()

    def forget(self):
        self.objects = {}  # id: (bytes, when it was written, in milliseconds)
        self.names = {}  # bytes: id
        self.streams = {}  # number: bytes so far
        self.last_stream = 0

    def begin_metering(self):
        self._rates = {}

    def meter(self, quota='persistence.calls'):
        rate = self._rates.get(quota)
        if rate is None:
            rate = self._rates[quota] = _local.Bucket(_local.clock, _local.quotas[quota])
        refused = rate.take(1)
        if refused is not None:
            raise _local.refusal(quota, *refused)

    def meter_write(self):
        self.meter()
        self.meter('persistence.writes')

    @property
    def bytes(self):
        return sum(len(data) for data, _ in self.objects.values())

    @property
    def charged(self):
        """What persistence.bytes looks at."""
        return self.bytes + len(self.names) * NAME_BYTES

    def store(self, data):
        id = hashlib.sha256(data).digest()
        if id in self.objects:
            return id
        _check('persistence.object', len(data))
        _check('persistence.bytes', self.charged + len(data))
        _check('persistence.objects', len(self.objects) + 1)
        self.objects[id] = bytes(data), int(_local.clock.wall() * 1000)
        return id


def _check(quota, used):
    if used > _local.quotas[quota]:
        raise _local.refusal(quota, used)


_store = _Store()
_local.resets += [_store.forget, _store.begin_metering]
_local.limit_listeners.append(_store.begin_metering)


def _bytes(value):
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f'bytes or str are wanted, not {type(value).__name__}')
    value = bytes(value)
    if len(value) > CALL_MAX:
        raise ValueError(f'a call has at most {CALL_MAX} bytes')
    return value


def _id(value):
    value = _bytes(value)
    if len(value) != _ID_BYTES:
        raise ValueError('an id has 32 bytes')
    return value


def _name(value):
    value = _bytes(value)
    if not 1 <= len(value) <= NAME_MAX:
        raise ValueError(f'a name has 1 to {NAME_MAX} bytes')
    return value


def _gone():
    from cloister import ApiError
    return ApiError('stream_gone', 'this object is not being written any more')


def write(data):
    data = _bytes(data)
    with _local.lock:
        _store.meter_write()
        return _store.store(data)


def begin():
    with _local.lock:
        _store.meter_write()
        if len(_store.streams) >= STREAMS_MAX:
            from cloister import ApiError
            raise ApiError('too_many_streams',
                           f'an app may write {STREAMS_MAX} objects in pieces at one time')
        _store.last_stream += 1
        _store.streams[_store.last_stream] = bytearray()
        return _store.last_stream


def append(stream, data):
    data = _bytes(data)
    with _local.lock:
        _store.meter()
        if stream not in _store.streams:
            raise _gone()
        written = _store.streams.pop(stream)
        open_bytes = sum(map(len, _store.streams.values())) + len(written) + len(data)
        _check('persistence.object', len(written) + len(data))
        _check('persistence.bytes', _store.charged + open_bytes)
        written += data
        _store.streams[stream] = written
        return len(written)


def finish(stream):
    with _local.lock:
        _store.meter()
        if stream not in _store.streams:
            raise _gone()
        return _store.store(_store.streams.pop(stream))


def abort(stream):
    with _local.lock:
        _store.meter()
        return int(_store.streams.pop(stream, None) is not None)


def read(id, offset, count):
    id = _id(id)
    with _local.lock:
        _store.meter()
        if id not in _store.objects:
            return None, 0
        data = _store.objects[id][0]
        return data[offset:offset + min(count, PIECE_MAX)], len(data)


def stat(id):
    id = _id(id)
    with _local.lock:
        _store.meter()
        if id not in _store.objects:
            return None, 0
        data, created_ms = _store.objects[id]
        return len(data), created_ms


def delete(id):
    id = _id(id)
    with _local.lock:
        _store.meter_write()
        if id not in _store.objects:
            return _MISSING
        if id in _store.names.values():
            return _NAMED
        del _store.objects[id]
        return _DELETED


def put(name, id, condition, expected):
    name, id = _name(name), _id(id)
    if expected is not None:
        expected = _id(expected)
    with _local.lock:
        _store.meter_write()
        current = _store.names.get(name)
        if condition == _EXPECTED and current != expected:
            return _CHANGED
        if id not in _store.objects:
            return _NO_OBJECT
        if current is None:
            _check('persistence.objects', len(_store.names) + 1)
            _check('persistence.bytes', _store.charged + NAME_BYTES)
        _store.names[name] = id
        return _PUT


def get(name):
    name = _name(name)
    with _local.lock:
        _store.meter()
        return _store.names.get(name)


def delete_name(name, with_object):
    name = _name(name)
    with _local.lock:
        _store.meter_write()
        id = _store.names.pop(name, None)
        if id is None:
            return 0
        if with_object and id not in _store.names.values():
            _store.objects.pop(id, None)
        return 1


def _page(values, after, limit):
    """(values after `after`, at most `limit`; whether there are more)."""
    begin = 0 if not after else bisect.bisect_right(values, after)
    limit = max(1, min(limit, LIST_MAX))
    return values[begin:begin + limit], int(len(values) - begin > limit)


def list_names(prefix, after, limit):
    prefix, after = _bytes(prefix), _bytes(after)
    with _local.lock:
        _store.meter()
        names = sorted(name for name in _store.names if name.startswith(prefix))
        names, more = _page(names, after, limit)
        return names, [_store.names[name] for name in names], more


def list_objects(after, limit):
    after = None if after is None else _id(after)
    with _local.lock:
        _store.meter()
        return _page(sorted(_store.objects), after, limit)


def usage():
    with _local.lock:
        _store.meter()
        return _store.bytes, len(_store.objects), len(_store.names)


CALLS = {each.__name__: each for each in (
    write, begin, append, finish, abort, read, stat, delete, put, get, delete_name, list_names,
    list_objects, usage)}
