"""Errors for what a worker cannot do: each says what to use instead, and is counted."""

import errno
import sys

import _cloister

_RUNTIME_LOG = 3
_WARNING = 30
# A loop that keeps asking fills no log: so many different places are named, each once.
_PLACES_MAX = 20
_OWN = ('/usr/lib/', '<frozen')

_places = set()

FILES = ('files cannot be written in a worker; use cloister persistence for data to keep, '
         'tempfile for scratch')
NETWORK = ('a worker has no network; use the APIs of the cloister package to reach data outside '
           'of it')
PROCESSES = 'a worker cannot start processes; use threads: concurrent.futures.ThreadPoolExecutor'
SIGNALS = 'a worker cannot send signals; use threading.Event, or an exception'
PIPES = 'a worker has no file descriptors; use queue.Queue between threads'


def _place():
    """The innermost line that is neither the runtime's nor the standard library's."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def count(name, message):
    """Counts a refusal for the tenant; its log names the line that asked."""
    _cloister.count_refused(name)
    place = _place()
    if place is None or (name, place) in _places or len(_places) >= _PLACES_MAX:
        return
    _places.add((name, place))
    text = f'refused {name} at {place[0]}:{place[1]}: {message}'
    _cloister.log(_RUNTIME_LOG, _WARNING, 'cloister', text.encode('utf-8', 'replace'))


def refused(name, message, path=None):
    """A PermissionError to raise."""
    count(name, message)
    if path is None:
        return PermissionError(errno.EPERM, message)
    return PermissionError(errno.EACCES, message, path)
