"""open() and the descriptor functions of os over the tree of files.py.

The descriptors are numbers of ours, far above any that the kernel gives: what os.open returns
works with the functions here and with open(), and nowhere else.
"""

import builtins
import errno
import io
import os
import stat

import _cloister
import _io
from _cloister_runtime import files, scratch
from _cloister_runtime.refusals import FILES, refused

_FIRST_DESCRIPTOR = 1 << 20
_descriptors = {}


class OpenFile:
    """A node, and where in it the next read or write is."""

    def __init__(self, node, flags):
        access = flags & os.O_ACCMODE
        self.node = node
        self.position = 0
        self.readable = access in (os.O_RDONLY, os.O_RDWR)
        self.writable = access in (os.O_WRONLY, os.O_RDWR)
        self.appends = bool(flags & os.O_APPEND)

    def read(self, count):
        data = self.node.read(self.position, count)
        self.position += len(data)
        return data

    def write(self, data):
        if self.appends:
            self.position = self.node.size
        self.node.write(self.position, data)
        self.position += len(data)
        return len(data)

    def seek(self, offset, whence=0):
        start = (0, self.position, self.node.size)[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, 'Invalid argument')
        self.position = start + offset
        return self.position


def _open_scratch(path, normal, flags, mode):
    node = scratch.find(normal)
    if node is None:
        if not flags & os.O_CREAT:
            raise FileNotFoundError(errno.ENOENT, 'No such file or directory', path)
        return scratch.create(normal, scratch.ScratchFile(mode))
    if flags & os.O_CREAT and flags & os.O_EXCL:
        raise FileExistsError(errno.EEXIST, 'File exists', path)
    if node.kind == stat.S_IFREG and flags & os.O_TRUNC:
        node.truncate(0)
    return node


def open_path(path, flags, mode=0o666):
    """An OpenFile, or the error that the operating system would give."""
    normal = files.absolute(path)
    writes = flags & os.O_ACCMODE != os.O_RDONLY or flags & (os.O_CREAT | os.O_TRUNC)
    if scratch.holds(normal):
        node = _open_scratch(path, normal, flags, mode)
    else:
        node = files.find(normal)
        if writes and not isinstance(node, files.NullFile):
            raise refused('file_write', FILES, path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, 'No such file or directory', path)
    if node.kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, 'Is a directory', path)
    return OpenFile(node, flags)


def _register(open_file):
    number = _FIRST_DESCRIPTOR
    while number in _descriptors:
        number += 1
    _descriptors[number] = open_file
    return number


def _open_file(number):
    open_file = _descriptors.get(number)
    if open_file is None:
        raise OSError(errno.EBADF, 'a worker has no file descriptors but those of its own '
                      'temporary files')
    return open_file


class VirtualFile(io.RawIOBase):
    """The raw end of what open() returns."""

    def __init__(self, open_file, name, mode, descriptor=None, closefd=True):
        self._open_file = open_file
        self._descriptor = descriptor
        self._closefd = closefd
        self.name = name
        self.mode = mode
        if open_file.appends:
            open_file.seek(0, 2)

    def readable(self):
        return self._open_file.readable

    def writable(self):
        return self._open_file.writable

    def seekable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        self._check_open()
        if self._descriptor is None:
            self._descriptor = _register(self._open_file)
        return self._descriptor

    def _check_open(self):
        if self.closed:
            raise ValueError('I/O operation on closed file')

    def readinto(self, buffer):
        self._check_open()
        if not self._open_file.readable:
            raise io.UnsupportedOperation('File not open for reading')
        with memoryview(buffer).cast('B') as view:
            data = self._open_file.read(len(view))
            view[:len(data)] = data
        return len(data)

    def readall(self):
        self._check_open()
        if not self._open_file.readable:
            raise io.UnsupportedOperation('File not open for reading')
        return self._open_file.read(max(0, self._open_file.node.size - self._open_file.position))

    def write(self, data):
        self._check_open()
        if not self._open_file.writable:
            raise io.UnsupportedOperation('File not open for writing')
        with memoryview(data).cast('B') as view:
            return self._open_file.write(view)

    def seek(self, offset, whence=0):
        self._check_open()
        return self._open_file.seek(offset, whence)

    def tell(self):
        self._check_open()
        return self._open_file.position

    def truncate(self, size=None):
        self._check_open()
        if not self._open_file.writable:
            raise io.UnsupportedOperation('File not open for writing')
        size = self._open_file.position if size is None else size
        self._open_file.node.truncate(size)
        return size

    def close(self):
        if not self.closed and self._descriptor is not None and self._closefd:
            _descriptors.pop(self._descriptor, None)
        super().close()


# --- open()


def _parse_mode(mode):
    """(flags, binary) of a mode string."""
    letters = set(mode)
    if len(letters) != len(mode) or letters - set('axrwb+t') or len(letters & set('axrw')) != 1:
        raise ValueError(f'invalid mode: {mode!r}')
    if 'b' in letters and 't' in letters:
        raise ValueError("can't have text and binary mode at once")
    flags = os.O_RDWR if '+' in letters else os.O_RDONLY if 'r' in letters else os.O_WRONLY
    if 'w' in letters:
        flags |= os.O_CREAT | os.O_TRUNC
    elif 'a' in letters:
        flags |= os.O_CREAT | os.O_APPEND
    elif 'x' in letters:
        flags |= os.O_CREAT | os.O_EXCL
    return flags, 'b' in letters


def _check_text_arguments(binary, buffering, encoding, errors, newline):
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("binary mode doesn't take encoding, errors or newline")
    if not binary and buffering == 0:
        raise ValueError("can't have unbuffered text I/O")


def _raw_file(file, mode, flags, closefd, opener):
    if opener is not None:
        file_number = opener(file, flags)
    elif isinstance(file, int):
        file_number = file
    else:
        return VirtualFile(open_path(file, flags), file, mode)
    open_file = _open_file(file_number)
    if flags & os.O_APPEND:
        open_file.appends = True
    return VirtualFile(open_file, file, mode, file_number, closefd)


def open_file(file, mode='r', buffering=-1, encoding=None, errors=None, newline=None,
              closefd=True, opener=None):
    """The open() of a worker; see the tree in files.py."""
    if not isinstance(file, int):
        file = os.fspath(file)
    flags, binary = _parse_mode(mode)
    _check_text_arguments(binary, buffering, encoding, errors, newline)
    raw = _raw_file(file, mode.replace('t', ''), flags, closefd, opener)
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    if '+' in mode:
        buffered = io.BufferedRandom(raw, size)
    elif flags & os.O_ACCMODE == os.O_RDONLY:
        buffered = io.BufferedReader(raw, size)
    else:
        buffered = io.BufferedWriter(raw, size)
    if binary:
        return buffered
    text = io.TextIOWrapper(buffered, encoding or 'utf-8', errors, newline,
                            line_buffering=buffering == 1)
    text.mode = mode
    return text


def _open_code(path):
    return open_file(path, 'rb')


# --- the functions of os


def _os_open(path, flags, mode=0o777, *, dir_fd=None):
    if dir_fd is not None:
        raise NotImplementedError('a worker has no file descriptors: dir_fd is not available')
    return _register(open_path(path, flags, mode))


def _os_close(fd):
    _open_file(fd)
    del _descriptors[fd]


def _os_read(fd, length):
    if fd == 0:
        return b''  # as sys.stdin: at its end
    opened = _open_file(fd)
    if not opened.readable:
        raise OSError(errno.EBADF, 'Bad file descriptor')
    return opened.read(length)


def _os_write(fd, data):
    if fd in (1, 2):
        return _cloister.write_output(fd - 1, data)
    opened = _open_file(fd)
    if not opened.writable:
        raise OSError(errno.EBADF, 'Bad file descriptor')
    with memoryview(data).cast('B') as view:
        return opened.write(view)


def _os_lseek(fd, position, whence):
    return _open_file(fd).seek(position, whence)


def fstat(fd):
    return files.stat_of(_open_file(fd).node)


def _os_ftruncate(fd, length):
    opened = _open_file(fd)
    if not opened.writable:
        raise OSError(errno.EINVAL, 'Invalid argument')
    opened.node.truncate(length)


def _os_truncate(path, length):
    opened = open_path(path, os.O_RDWR) if not isinstance(path, int) else _open_file(path)
    opened.node.truncate(length)


def _os_fsync(fd):
    _open_file(fd)  # memory has nothing to wait for


def _os_isatty(fd):
    return False


FUNCTIONS = {
    'open': _os_open, 'close': _os_close, 'read': _os_read, 'write': _os_write,
    'lseek': _os_lseek, 'fstat': fstat, 'ftruncate': _os_ftruncate, 'truncate': _os_truncate,
    'fsync': _os_fsync, 'fdatasync': _os_fsync, 'isatty': _os_isatty,
}


def install():
    open_file.__name__ = 'open'
    builtins.open = io.open = _io.open = open_file
    io.open_code = _io.open_code = _open_code
