"""Temporary files: a tree in memory below /tmp, within a quota of bytes."""

import errno
import posixpath
import stat
import time

ROOT = '/tmp'


class _Quota:
    def __init__(self):
        self.limit = 0
        self.used = 0

    def grow(self, count):
        if count > 0 and self.used + count > self.limit:
            raise OSError(errno.ENOSPC, 'temporary files may hold '
                          f'{self.limit} bytes together in a worker, {self.used} are used')
        self.used += count


quota = _Quota()
_last_inode = 0


def _next_inode():
    global _last_inode
    _last_inode += 1
    return _last_inode


class ScratchFile:
    """A file in memory; it lives as long as a name or an open file refers to it."""

    kind = stat.S_IFREG

    def __init__(self, mode):
        self.data = bytearray()
        self.mode = mode & 0o777
        self.inode = _next_inode()
        self.changed = time.time()

    def __del__(self):
        quota.grow(-len(self.data))

    @property
    def size(self):
        return len(self.data)

    def read(self, position, count):
        with memoryview(self.data) as view:
            return bytes(view[position:position + count])

    def write(self, position, data):
        end = position + len(data)
        quota.grow(max(0, end - len(self.data)))
        if position > len(self.data):
            self.data.extend(bytes(position - len(self.data)))
        self.data[position:end] = data
        self.changed = time.time()

    def truncate(self, size):
        quota.grow(size - len(self.data))
        if size < len(self.data):
            del self.data[size:]
        else:
            self.data.extend(bytes(size - len(self.data)))
        self.changed = time.time()


class ScratchFolder:
    kind = stat.S_IFDIR
    size = 0

    def __init__(self, mode):
        self.children = {}
        self.mode = mode & 0o777
        self.inode = _next_inode()
        self.changed = time.time()


root = ScratchFolder(0o777)


def holds(path):
    return path == ROOT or path.startswith(ROOT + '/')


def find(path):
    """The file or folder at an absolute path, or None."""
    node = root
    for name in path[len(ROOT):].split('/'):
        if name:
            node = node.children.get(name) if isinstance(node, ScratchFolder) else None
    return node


def _parent(path):
    folder, name = posixpath.split(path)
    parent = find(folder) if holds(folder) else None
    if parent is None:
        raise FileNotFoundError(errno.ENOENT, 'No such file or directory', path)
    if not isinstance(parent, ScratchFolder):
        raise NotADirectoryError(errno.ENOTDIR, 'Not a directory', path)
    return parent, name


def create(path, node):
    parent, name = _parent(path)
    if name in parent.children:
        raise FileExistsError(errno.EEXIST, 'File exists', path)
    parent.children[name] = node
    return node


def unlink(path):
    node = find(path)
    if node is None:
        raise FileNotFoundError(errno.ENOENT, 'No such file or directory', path)
    if isinstance(node, ScratchFolder):
        raise IsADirectoryError(errno.EISDIR, 'Is a directory', path)
    parent, name = _parent(path)
    del parent.children[name]


def rmdir(path):
    node = find(path)
    if node is None:
        raise FileNotFoundError(errno.ENOENT, 'No such file or directory', path)
    if not isinstance(node, ScratchFolder):
        raise NotADirectoryError(errno.ENOTDIR, 'Not a directory', path)
    if node.children or node is root:
        raise OSError(errno.ENOTEMPTY, 'Directory not empty', path)
    parent, name = _parent(path)
    del parent.children[name]


def rename(source, target):
    node = find(source)
    if node is None:
        raise FileNotFoundError(errno.ENOENT, 'No such file or directory', source)
    if node is root or target.startswith(source + '/'):
        raise OSError(errno.EINVAL, 'Invalid argument', target)
    old = find(target)
    if isinstance(old, ScratchFolder) and (old.children or node.kind != old.kind):
        raise IsADirectoryError(errno.EISDIR, 'Is a directory', target)
    source_parent, source_name = _parent(source)
    target_parent, target_name = _parent(target)
    del source_parent.children[source_name]
    target_parent.children[target_name] = node
