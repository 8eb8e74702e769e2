"""The tree of files that an app sees, in place of the operating system's, which has none for it.

/app is the bundle, /usr/... the platform, both read-only in images; /tmp is memory (scratch.py).
A convenience and not the wall: behind this a worker cannot open anything anyway.
"""

import errno
import os
import posix
import posixpath
import stat
from zlib import crc32

import _cloister
from _cloister_runtime import loader, scratch
from _cloister_runtime.refusals import FILES, refused

FILE, FOLDER = 'file', 'folder'
_NO_SUCH_FILE = 'No such file or directory'
_APP_DEVICE, _PLATFORM_DEVICE, _SCRATCH_DEVICE, _NULL_DEVICE = 1, 2, 3, 4
_DEV_NULL = '/dev/null'

_alias = None  # '/app/hello@1.2.0/': what relative names in tracebacks resolve to


class ImageFile:
    kind = stat.S_IFREG
    mode = 0o444

    def __init__(self, image, index):
        self.image = image
        self.index = index
        self.size = image.size(index)

    @property
    def inode(self):
        return self.index + 1

    @property
    def changed(self):
        return self.image.time()

    def read(self, position, count):
        return bytes(self.image.contents(self.index)[position:position + count])


class ImageFolder:
    kind = stat.S_IFDIR
    mode = 0o555
    size = 0

    def __init__(self, image, path):
        self.image = image
        self.path = path

    @property
    def inode(self):
        return (1 << 32) | crc32(self.path.encode('utf-8', 'surrogateescape'))

    @property
    def changed(self):
        return self.image.time()


class NullFile:
    """/dev/null"""

    kind = stat.S_IFCHR
    mode = 0o666
    size = 0
    inode = 1
    changed = 0

    def read(self, position, count):
        return b''

    def write(self, position, data):
        pass

    def truncate(self, size):
        pass


def absolute(path):
    """The normal form of a path as text. Relative ones are below /app."""
    path = os.fsdecode(path)
    if '\0' in path:
        raise ValueError('embedded null byte')
    if not path:
        raise FileNotFoundError(errno.ENOENT, _NO_SUCH_FILE, path)
    path = posixpath.normpath(posixpath.join(loader.APP_ROOT, path))
    if path.startswith('//'):
        path = path[1:]
    if _alias is not None and path.startswith(_alias):
        path = loader.APP_ROOT + '/' + path[len(_alias):]
    return path


def find(path):
    """What is at a normal path, or None."""
    if scratch.holds(path):
        return scratch.find(path)
    if path == _DEV_NULL:
        return NullFile()
    image, inner = loader.image_and_path(path)
    index = -1 if image is None else image.lookup(inner)
    if index == -1:
        return None
    return ImageFolder(image, inner) if index == -2 else ImageFile(image, index)


def find_or_raise(path):
    node = find(absolute(path))
    if node is None:
        raise FileNotFoundError(errno.ENOENT, _NO_SUCH_FILE, path)
    return node


def _device(node):
    if isinstance(node, (ImageFile, ImageFolder)):
        return _PLATFORM_DEVICE if node.image is not _cloister.app_image() else _APP_DEVICE
    return _NULL_DEVICE if isinstance(node, NullFile) else _SCRATCH_DEVICE


def stat_of(node):
    changed = node.changed
    seconds = int(changed)
    links = 2 if node.kind == stat.S_IFDIR else 1
    nanoseconds = int(changed * 1_000_000_000)
    return os.stat_result(
        (node.kind | node.mode, node.inode, _device(node), links, os.getuid(), os.getgid(),
         node.size, seconds, seconds, seconds, float(changed), float(changed), float(changed),
         nanoseconds, nanoseconds, nanoseconds))


def names_in(path):
    """The names in a directory."""
    node = find_or_raise(path)
    if node.kind != stat.S_IFDIR:
        raise NotADirectoryError(errno.ENOTDIR, 'Not a directory', path)
    if isinstance(node, scratch.ScratchFolder):
        return list(node.children)
    names = [name for name, _ in node.image.list(node.path)]
    if absolute(path) == '/':
        names += ['app', 'tmp']
    return names


def begin(label, scratch_max):
    """A worker's app is here."""
    global _alias
    _alias = f'{loader.APP_ROOT}/{label}/'
    scratch.quota.limit = scratch_max


def end():
    """It is gone again (rehearsal.py)."""
    global _alias
    _alias = None
    scratch.quota.limit = 0


# --- what stands in for the functions of os


def _refuse_descriptor(dir_fd):
    if dir_fd is not None:
        raise NotImplementedError('a worker has no file descriptors: dir_fd is not available')


# What is in an image never changes, and some frameworks ask for every module at every request.
_known = {}
_KNOWN_MAX = 2048


def _stat(path, *, dir_fd=None, follow_symlinks=True):
    if dir_fd is None and type(path) is str and (known := _known.get(path)) is not None:
        return known
    _refuse_descriptor(dir_fd)
    if isinstance(path, int):
        from _cloister_runtime import open_files
        return open_files.fstat(path)
    node = find_or_raise(path)
    result = stat_of(node)
    if type(path) is str and isinstance(node, ImageFile) and len(_known) < _KNOWN_MAX:
        _known[path] = result
    return result


def _lstat(path, *, dir_fd=None):
    return _stat(path, dir_fd=dir_fd)


def _access(path, mode, *, dir_fd=None, effective_ids=False, follow_symlinks=True):
    _refuse_descriptor(dir_fd)
    try:
        normal = absolute(path)
    except FileNotFoundError:
        return False
    node = find(normal)
    if node is None:
        return False
    if mode & os.W_OK and not isinstance(node, NullFile):
        return scratch.holds(normal)
    return not mode & os.X_OK or node.kind == stat.S_IFDIR


def _listdir(path='.'):
    names = names_in('.' if path is None else path)
    return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names


class _Entry:
    """What os.scandir yields."""

    __slots__ = ('name', 'path', '_node')

    def __init__(self, folder, name, node):
        self.name = name
        self.path = os.path.join(folder, name)
        self._node = node

    def is_dir(self, *, follow_symlinks=True):
        return self._node.kind == stat.S_IFDIR

    def is_file(self, *, follow_symlinks=True):
        return self._node.kind == stat.S_IFREG

    def is_symlink(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return stat_of(self._node)

    def inode(self):
        return self._node.inode

    def __fspath__(self):
        return self.path

    def __repr__(self):
        return f'<DirEntry {self.name!r}>'


class _Scan:
    """The iterator of os.scandir."""

    def __init__(self, folder):
        shown = '.' if folder is None else os.fspath(folder)
        base = os.fsdecode(shown)
        names = sorted(names_in(base))
        nodes = ((name, find(absolute(os.path.join(base, name)))) for name in names)
        encode = os.fsencode if isinstance(shown, bytes) else str
        self._entries = (_Entry(shown, encode(name), node) for name, node in nodes
                         if node is not None)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self._entries = iter(())


def _scandir(path='.'):
    return _Scan(path)


def _readlink(path, *, dir_fd=None):
    find_or_raise(path)
    raise OSError(errno.EINVAL, 'Invalid argument', path)  # there are no links


def _writable(path):
    """The normal form of a path in the scratch space; elsewhere nothing can be changed."""
    normal = absolute(path)
    if not scratch.holds(normal):
        raise refused('file_write', FILES, path)
    return normal


def _mkdir(path, mode=0o777, *, dir_fd=None):
    _refuse_descriptor(dir_fd)
    if find(absolute(path)) is not None:
        raise FileExistsError(errno.EEXIST, 'File exists', path)
    scratch.create(_writable(path), scratch.ScratchFolder(mode))


def _rmdir(path, *, dir_fd=None):
    _refuse_descriptor(dir_fd)
    scratch.rmdir(_writable(path))


def _unlink(path, *, dir_fd=None):
    _refuse_descriptor(dir_fd)
    scratch.unlink(_writable(path))


def _rename(src, dst, *, src_dir_fd=None, dst_dir_fd=None):
    _refuse_descriptor(src_dir_fd)
    _refuse_descriptor(dst_dir_fd)
    scratch.rename(_writable(src), _writable(dst))


def _chmod(path, mode, *, dir_fd=None, follow_symlinks=True):
    node = find_or_raise(path)
    _writable(path)
    node.mode = stat.S_IMODE(mode) & 0o777


def _utime(path, times=None, *, ns=None, dir_fd=None, follow_symlinks=True):
    node = find_or_raise(path)
    _writable(path)
    if ns is not None:
        node.changed = ns[1] / 1_000_000_000
    elif times is not None:
        node.changed = times[1]


def _listxattr(path=None, *, follow_symlinks=True):
    return []


def _change_refused(path, *args, **kwargs):
    raise refused('file_write', FILES, path)


def _chdir(path):
    if absolute(path) != loader.APP_ROOT:
        raise refused('chdir', 'the working directory of a worker is /app', path)


_FUNCTIONS = {
    'stat': _stat, 'lstat': _lstat, 'access': _access, 'listdir': _listdir, 'scandir': _scandir,
    'readlink': _readlink, 'mkdir': _mkdir, 'rmdir': _rmdir, 'unlink': _unlink,
    'remove': _unlink, 'rename': _rename, 'replace': _rename, 'chmod': _chmod, 'utime': _utime,
    'link': _change_refused, 'symlink': _change_refused, 'mkfifo': _change_refused,
    'mknod': _change_refused, 'chown': _change_refused, 'chdir': _chdir, 'listxattr': _listxattr,
    'umask': lambda mask: 0o022,
    'getcwd': lambda: loader.APP_ROOT, 'getcwdb': lambda: loader.APP_ROOT.encode(),
}


def install():
    from _cloister_runtime import open_files
    for name, function in (_FUNCTIONS | open_files.FUNCTIONS).items():
        function.__name__ = name
        setattr(os, name, function)
        setattr(posix, name, function)
    open_files.install()
