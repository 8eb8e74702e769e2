"""Says what an app does here that a node would refuse: files, network, processes. Each once."""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile

FILES = ('on a node files are read-only; cloister.persistence keeps what must stay, tempfile has '
         'scratch files')
ABSENT = 'a worker on a node has the files of its app and of Python, and no others'
SCRATCH = ('on a node /tmp is memory of one worker: no other sees what is there, and it goes with '
           'the worker')
DATABASES = ('a worker on a node has no database files; cloister.db is the database of the app, '
             "':memory:' one for scratch")
NETWORK = 'a worker on a node has no network'
PROCESSES = 'a worker on a node cannot start processes'
SIGNALS = 'a worker on a node cannot send signals'
MODULES = "workers on a node do not have this module of Python's standard library"

# docs/apps/moving-flask.md lists them.
MISSING = ('ctypes', 'curses', 'ensurepip', 'idlelib', 'lib2to3', 'nis', 'ossaudiodev',
           'pydoc_data', 'readline', 'tkinter', 'turtle', 'turtledemo', 'venv')

_WRITING = set('wax+')
# Each with what is said of it.
_CALLS = {
    **dict.fromkeys(('socket.connect', 'socket.getaddrinfo', 'socket.sendto'), NETWORK),
    **dict.fromkeys(('subprocess.Popen', 'os.system', 'os.fork', 'os.forkpty', 'os.posix_spawn',
                     'os.exec'), PROCESSES),
    **dict.fromkeys(('os.kill', 'os.killpg'), SIGNALS),
}
# Their first argument is a path that they make, change or take away; which is the descriptor of a
# folder that a relative one is below, if it is not -1.
_CHANGES = {'os.mkdir': 2, 'os.remove': 1, 'os.rename': 2, 'os.rmdir': 1, 'os.symlink': 2,
            'os.link': 2, 'os.chmod': 2, 'os.chown': 3}
_LISTS = ('os.listdir', 'os.scandir')
_DEVICES = ('/dev/', '/proc/')
_ZONES = '/usr/share/zoneinfo/'
_OWN = os.path.dirname(os.path.dirname(__file__)) + os.sep
# Through these an app reads what it names itself. Others look for files of their own.
_READERS = ('<frozen codecs>', '<frozen os>', 'codecs.py', 'glob.py', 'os.py', 'pathlib.py',
            'shutil.py')
_STANDARD = (os.path.realpath(os.path.dirname(os.__file__)) + os.sep, '<frozen')


def _folders_of_python():
    """Where what Python imports lies: libraries read their own files there."""
    folders = set(sysconfig.get_paths().values()) | {'/usr/lib/python3', _OWN.rstrip(os.sep)}
    folders.update(place for place in sys.path if place.endswith(('site-packages',
                                                                  'dist-packages')))
    return tuple(os.path.realpath(folder) + os.sep for folder in folders
                 if not folder.endswith('bin'))


def _caller(through=''):
    """The file of the innermost frame that is neither ours here nor the standard library's.

    Of the standard library only what ends in `through` counts as that; '' stands for all of it.
    """
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        is_package = '/site-packages/' in file or '/dist-packages/' in file
        is_standard = file.startswith(_STANDARD) and file.endswith(through) and not is_package
        if file != __file__ and not is_standard:
            return file
        frame = frame.f_back
    return ''


class Notes:
    """An audit hook for as long as the process lives; `say` gets each note.

    `folder` is the app's, whose files are read-only on a node wherever it lies here.
    """

    def __init__(self, say, folder):
        self._say = say
        self._folder = os.path.realpath(folder) + os.sep
        self._said = set()
        self._scratch = {os.path.realpath(place) for place in (tempfile.gettempdir(), '/tmp')}
        self._readable = (self._folder, _ZONES, *_DEVICES, *_folders_of_python())
        self.paused = False

    def install(self):
        sys.addaudithook(self._hook)

    def _note(self, what, why):
        if what not in self._said and len(self._said) < 20:
            self._said.add(what)
            self._say(f'note: {what}: {why}')

    def _hook(self, event, args):
        if self.paused:
            return
        if event == 'open':
            self._opened(*args[:3])
        elif event == 'import':
            self._imported(args[0])
        elif event in _CALLS:
            self._note(f'{event} was called', _CALLS[event])
        elif event in _CHANGES:
            self._changed(event, args)
        elif event in _LISTS:
            self._read(args[0], 'listed')
        elif event == 'sqlite3.connect':
            self._connected(args[0])

    def _is_of_app(self, file):
        return os.path.realpath(file).startswith(self._folder) and '/site-packages/' not in file

    def _imported(self, name):
        if name.partition('.')[0] in MISSING and self._is_of_app(_caller()):
            self._note(f'{name} was imported', MODULES)

    def _connected(self, database):
        shown = os.fsdecode(database) if isinstance(database, (str, bytes)) else str(database)
        if shown not in ('', ':memory:') and 'mode=memory' not in shown and \
                not shown.startswith('file::memory:') and not _caller().startswith(_OWN):
            self._note(f'{shown} was opened with sqlite3', DATABASES)

    def _full(self, path):
        """Of a path that says something: '' for descriptors, devices and scratch itself."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return ''
        full = os.path.realpath(os.fsdecode(path))
        return '' if full.startswith(_DEVICES) or full in self._scratch else full

    def _is_scratch(self, full):
        return not full.startswith(self._folder) and any(
            full.startswith(place + os.sep) for place in self._scratch)

    def _changed(self, event, args):
        full = self._full(args[0]) if args[_CHANGES[event]] == -1 else ''
        if full and not self._is_scratch(full):
            self._note(f'{event} was called for {full}', FILES)

    def _read(self, path, how):
        full = self._full(path)
        if full and not (full + os.sep).startswith(self._readable) and \
                not self._is_scratch(full) and self._is_of_app(_caller(_READERS)):
            self._note(f'{full} was {how}', ABSENT)

    def _opened(self, path, mode, flags):
        if mode is None:
            writes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            writes = not _WRITING.isdisjoint(mode)
        if not writes:
            self._read(path, 'opened')
            return
        full = self._full(path)
        if not full:
            return
        if not self._is_scratch(full):
            self._note(f'{full} was opened to be written', FILES)
        elif os.path.dirname(full) in self._scratch:
            # What tempfile makes has a name of its own: nobody expects to find it again.
            if mode is not None or not flags & os.O_EXCL:
                self._note(f'{full} was opened to be written', SCRATCH)
