"""Says what an app does here that a node would refuse: files, network, processes. Each once."""

from __future__ import annotations

import os
import sys
import tempfile

FILES = ('on a node files are read-only; tempfile has scratch files, and cloister.cache what '
         'workers share')
SCRATCH = ('on a node /tmp is memory of one worker: no other sees what is there, and it goes with '
           'the worker')
NETWORK = 'a worker on a node has no network'
PROCESSES = 'a worker on a node cannot start processes'

_WRITING = set('wax+')
_PROCESS_EVENTS = ('subprocess.Popen', 'os.system', 'os.fork', 'os.forkpty', 'os.posix_spawn',
                   'os.exec')
_NETWORK_EVENTS = ('socket.connect', 'socket.getaddrinfo', 'socket.sendto')
_DEVICES = ('/dev/', '/proc/')


class Notes:
    """An audit hook for as long as the process lives; `say` gets each note.

    `folder` is the app's, whose files are read-only on a node wherever it lies here.
    """

    def __init__(self, say, folder):
        self._say = say
        self._folder = os.path.realpath(folder) + os.sep
        self._said = set()
        self._scratch = {os.path.realpath(place) for place in (tempfile.gettempdir(), '/tmp')}
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
        elif event in _NETWORK_EVENTS:
            self._note(f'{event} was called', NETWORK)
        elif event in _PROCESS_EVENTS:
            self._note(f'{event} was called', PROCESSES)

    def _opened(self, path, mode, flags):
        if mode is None:
            writes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            writes = not _WRITING.isdisjoint(mode)
        if not writes or not isinstance(path, (str, bytes)):
            return
        full = os.path.realpath(os.fsdecode(path))
        if full.startswith(_DEVICES) or full in self._scratch:
            return
        if full.startswith(self._folder):
            self._note(f'{full} was opened to be written', FILES)
        elif os.path.dirname(full) in self._scratch:
            # What tempfile makes has a name of its own: nobody expects to find it again.
            if mode is not None or not flags & os.O_EXCL:
                self._note(f'{full} was opened to be written', SCRATCH)
        elif not any(full.startswith(place + os.sep) for place in self._scratch):
            self._note(f'{full} was opened to be written', FILES)
