"""What an app keeps: objects, which are bytes under their SHA-256, and names that refer to them.

An id is 64 hexadecimal digits; the same bytes have the same id and are kept once. A name is a str
of 1 to 1024 bytes in UTF-8 and refers to one object. What is written, put or deleted is on the
node's disk before the call returns. All workers and releases of an app share its objects; no other
app can name them.

What is not there raises ObjectNotFound. Beyond a quota of the app each call raises
cloister.QuotaExceeded, and nothing was changed; what the node cannot do raises cloister.ApiError.
"""

from __future__ import annotations

import datetime
import io
from typing import Any, BinaryIO, Iterable, Iterator, NamedTuple, Union

from cloister._transport import bind as _bind

__all__ = ['Data', 'NamePage', 'ObjectInUse', 'ObjectNotFound', 'ObjectPage', 'Reader', 'Stat',
           'Usage', 'delete', 'delete_name', 'exists', 'get', 'list_names', 'list_objects', 'names',
           'objects', 'open', 'put', 'read', 'stat', 'swap', 'usage', 'write']

Data = Union[bytes, bytearray, memoryview, BinaryIO, Iterable[bytes]]

_PIECE = 1 << 20
_BUFFER = 256 << 10
_NAME_MAX = 1024
_PAGE_MAX = 1000
_DIGITS = frozenset('0123456789abcdef')
_ID_DIGITS = 64
_ANY, _EXPECTED = range(2)
_CHANGED, _PUT, _NO_OBJECT = range(3)
_MISSING, _DELETED, _NAMED = range(3)

_write = _bind('persistence.write')
_begin = _bind('persistence.begin')
_append = _bind('persistence.append')
_finish = _bind('persistence.finish')
_abort = _bind('persistence.abort')
_read = _bind('persistence.read')
_stat = _bind('persistence.stat')
_delete = _bind('persistence.delete')
_put = _bind('persistence.put')
_get = _bind('persistence.get')
_delete_name = _bind('persistence.delete_name')
_list_names = _bind('persistence.list_names')
_list_objects = _bind('persistence.list_objects')
_usage = _bind('persistence.usage')


class ObjectNotFound(LookupError):
    """There is no object of that id."""

    id: str

    def __init__(self, id: str) -> None:
        super().__init__(f'there is no object {id}')
        self.id = id

    def __reduce__(self):
        return type(self), (self.id,)


class ObjectInUse(Exception):
    """An object cannot be deleted while a name refers to it."""

    id: str

    def __init__(self, id: str) -> None:
        super().__init__(f'a name refers to the object {id}: delete_name() or swap() it first')
        self.id = id

    def __reduce__(self):
        return type(self), (self.id,)


class Stat(NamedTuple):
    """What is known of an object."""

    id: str
    size: int
    created: datetime.datetime


class Usage(NamedTuple):
    """What the app has: bytes of all objects, and how many objects and names."""

    bytes: int
    objects: int
    names: int


class NamePage(NamedTuple):
    """A part of the names: (name, id) in order; `after` of the next page, if there is one."""

    names: list[tuple[str, str]]
    next: str | None


class ObjectPage(NamedTuple):
    """A part of the objects: their ids in order; `after` of the next page, if there is one."""

    ids: list[str]
    next: str | None


def _raw(id):
    if not isinstance(id, str):
        raise TypeError(f'an id is a str, not {type(id).__name__}')
    if len(id) != _ID_DIGITS or not _DIGITS.issuperset(id):
        raise ValueError(f'an id is 64 hexadecimal digits of lower case, not {id[:80]!r}')
    return bytes.fromhex(id)


def _check_text(name, what):
    if not isinstance(name, str):
        raise TypeError(f'a {what} is a str, not {type(name).__name__}')
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f'a {what} is text that UTF-8 can say, not {name[:80]!r}') from None
    if size > _NAME_MAX:
        raise ValueError(f'a {what} has at most {_NAME_MAX} bytes, this one has {size}')


def _check_name(name):
    _check_text(name, 'name')
    if not name:
        raise ValueError('a name is empty')


def _check_limit(limit):
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f'a limit is an int, not {type(limit).__name__}')
    if not 1 <= limit <= _PAGE_MAX:
        raise ValueError(f'a limit is 1 to {_PAGE_MAX}, not {limit}')


def _is_bytes(data):
    return isinstance(data, (bytes, bytearray, memoryview))


def _view(data):
    view = memoryview(data)
    return view.cast('B') if view.c_contiguous else memoryview(bytes(view))


def _sources(data):
    """Pieces of what is to be written, of any size."""
    if _is_bytes(data):
        return iter((data,))
    if isinstance(data, str):
        raise TypeError('an object is bytes, not str: encode it')
    if hasattr(data, 'read'):
        return iter(lambda: data.read(_PIECE), b'')
    try:
        return iter(data)
    except TypeError:
        raise TypeError('an object is bytes, a file that was opened for reading bytes, or an '
                        f'iterable of bytes, not {type(data).__name__}') from None


def _pieces(data):
    """The same in pieces of 1 MiB, the last one smaller, or empty when it is the only one."""
    kept = bytearray()
    for source in _sources(data):
        if not _is_bytes(source):
            raise TypeError(f'an object is made of bytes, not {type(source).__name__}')
        view = _view(source)
        while kept or len(view) > _PIECE:
            room = _PIECE - len(kept)
            if kept and len(view) <= room:
                break
            if not kept:
                yield view[:_PIECE]
            else:
                kept += view[:room]
                yield kept
                kept = bytearray()
            view = view[room:]
        kept += view
    yield kept


def _write_stream(first, rest):
    stream = _begin()
    try:
        _append(stream, first)
        for piece in rest:
            _append(stream, piece)
        return _finish(stream).hex()
    except BaseException:
        # What failed in the node is over there already.
        try:
            _abort(stream)
        except Exception:
            pass
        raise


def write(data: Data) -> str:
    """Keeps bytes, what a file has from where it stands, or all pieces of an iterable.

    Returns the id. Nothing is kept when a piece cannot be had: what it raises is raised.
    """
    if _is_bytes(data) and memoryview(data).nbytes <= _PIECE:
        return _write(_view(data)).hex()
    pieces = _pieces(data)
    first = next(pieces)
    if len(first) < _PIECE:
        return _write(first).hex()
    return _write_stream(first, pieces)


def read(id: str) -> bytes:
    """All of an object at once; see open() for large ones."""
    raw = _raw(id)
    data, size = _read(raw, 0, _PIECE)
    if data is None:
        raise ObjectNotFound(id)
    if len(data) == size:
        return data
    parts, done = [data], len(data)
    while done < size:
        data, _ = _read(raw, done, _PIECE)
        if not data:
            raise ObjectNotFound(id)
        parts.append(data)
        done += len(data)
    return b''.join(parts)


class _Source(io.RawIOBase):
    """An object as a raw file."""

    def __init__(self, id, size):
        self._raw = _raw(id)
        self.id = id
        self.size = size
        self._place = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        if self.closed:
            raise ValueError('the object is closed')
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}.get(whence)
        if start is None:
            raise ValueError(f'whence is 0, 1 or 2, not {whence}')
        if start + offset < 0:
            raise ValueError('there is nothing before the first byte')
        self._place = start + offset
        return self._place

    def tell(self):
        return self._place

    def _next(self, count):
        if self.closed:
            raise ValueError('the object is closed')
        if self._place >= self.size:
            return b''
        data, _ = _read(self._raw, self._place, min(count, _PIECE))
        if data is None:
            raise ObjectNotFound(self.id)
        self._place += len(data)
        return data

    def readinto(self, buffer):
        view = memoryview(buffer).cast('B')
        data = self._next(len(view))
        view[:len(data)] = data
        return len(data)

    def readall(self):
        return b''.join(iter(lambda: self._next(_PIECE), b''))


class Reader(io.BufferedReader):
    """An object as a file that was opened for reading bytes: seekable, read as it is needed."""

    @property
    def id(self) -> str:
        """The object's id."""
        return self.raw.id

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.raw.size


def open(id: str) -> Reader:
    """The object as a file; any part of it is read without the rest."""
    return Reader(_Source(id, stat(id).size), _BUFFER)


def stat(id: str) -> Stat:
    """Size and time of an object; the time is when these bytes were first written."""
    size, created_ms = _stat(_raw(id))
    if size is None:
        raise ObjectNotFound(id)
    created = datetime.datetime.fromtimestamp(created_ms / 1000, datetime.timezone.utc)
    return Stat(id, size, created)


def exists(id: str) -> bool:
    """Whether there is an object of that id."""
    return _stat(_raw(id))[0] is not None


def delete(id: str) -> bool:
    """Removes an object; whether there was one. ObjectInUse: a name refers to it."""
    outcome = _delete(_raw(id))
    if outcome == _NAMED:
        raise ObjectInUse(id)
    return outcome == _DELETED


def put(name: str, id: str) -> None:
    """Has the name refer to that object, whatever it referred to before."""
    _check_name(name)
    if _put(name, _raw(id), _ANY, None) == _NO_OBJECT:
        raise ObjectNotFound(id)


def swap(name: str, id: str, expected: str | None) -> bool:
    """The same, if the name refers to `expected` now; None: if there is no such name yet.

    False: it does not, and nothing was changed. Of many callers at one time one gets True.
    """
    _check_name(name)
    raw = None if expected is None else _raw(expected)
    outcome = _put(name, _raw(id), _EXPECTED, raw)
    if outcome == _NO_OBJECT:
        raise ObjectNotFound(id)
    return outcome == _PUT


def get(name: str, default: Any = None) -> Any:
    """The id that the name refers to, or `default` when there is no such name."""
    _check_name(name)
    id = _get(name)
    return default if id is None else id.hex()


def delete_name(name: str, with_object: bool = False) -> bool:
    """Removes the name; whether there was one. The object stays, unless `with_object`.

    With it the object goes as well, at the same moment, when no other name refers to it.
    """
    _check_name(name)
    return _delete_name(name, 1 if with_object else 0) == 1


def list_names(prefix: str = '', after: str = '', limit: int = 1000) -> NamePage:
    """Names that begin with `prefix` and come after `after`: at most `limit` of them."""
    _check_text(prefix, 'prefix')
    _check_text(after, 'name')
    _check_limit(limit)
    names, ids, more = _list_names(prefix, after, limit)
    found = [(name.decode(), id.hex()) for name, id in zip(names, ids)]
    return NamePage(found, found[-1][0] if more else None)


def names(prefix: str = '') -> Iterator[tuple[str, str]]:
    """All names that begin with `prefix`, with their ids, a page of them at a time."""
    after: str | None = ''
    while after is not None:
        page, after = list_names(prefix, after)
        yield from page


def list_objects(after: str | None = None, limit: int = 1000) -> ObjectPage:
    """Ids of objects that come after `after`: at most `limit` of them."""
    _check_limit(limit)
    ids, more = _list_objects(None if after is None else _raw(after), limit)
    found = [id.hex() for id in ids]
    return ObjectPage(found, found[-1] if more else None)


def objects() -> Iterator[str]:
    """The ids of all objects, a page of them at a time."""
    page = list_objects()
    yield from page.ids
    while page.next is not None:
        page = list_objects(page.next)
        yield from page.ids


def usage() -> Usage:
    """What of its quotas the app has used."""
    return Usage(*_usage())
