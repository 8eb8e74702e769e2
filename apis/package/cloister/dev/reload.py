"""Serves in a child process that is started anew when a file of the project has changed.

The listening socket stays open meanwhile: clients wait, they are not refused. A child that ends by
itself is replaced by one that answers so until a file changes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

SOCKET_VARIABLE = 'CLOISTER_DEV_SOCKET'
# What a child is to answer whatever is asked, for the app does not run.
BROKEN_VARIABLE = 'CLOISTER_DEV_BROKEN'
_PERIOD = 0.3
_FILES_MAX = 20000
_LEFT_OUT = {'__pycache__', 'node_modules'}


def _snapshot(folder):
    """(path, size, time) of the project's files; hidden ones but the config are left out."""
    seen = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and name[0] != '.']
        for name in names:
            if name.endswith('.pyc') or (name[0] == '.' and not name.endswith('.env')):
                continue
            path = os.path.join(where, name)
            try:
                status = os.stat(path)
            except OSError:
                continue
            seen.append((path, status.st_size, status.st_mtime_ns))
            if len(seen) >= _FILES_MAX:
                return seen
    return seen


class _Child:
    """One server process. It ends when this one does, however that is."""

    def __init__(self, listener, arguments, broken=''):
        environment = {**os.environ, SOCKET_VARIABLE: str(listener.fileno()),
                       BROKEN_VARIABLE: broken}
        self._process = subprocess.Popen([sys.executable, '-m', 'cloister.dev', *arguments],
                                         stdin=subprocess.PIPE, env=environment,
                                         pass_fds=[listener.fileno()])

    def code(self):
        return self._process.poll()

    def end(self):
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()


def _on_terminate(number, frame):
    raise SystemExit(0)


def serve(listener, folder, arguments, say, find_fault):
    """Until Ctrl-C or SIGTERM; the exit code. When files have changed `find_fault` is asked why the
    app cannot be served as it is now; '' stands for nothing."""
    signal.signal(signal.SIGTERM, _on_terminate)
    before = _snapshot(folder)
    child, has_served = _Child(listener, arguments), False
    try:
        while True:
            time.sleep(_PERIOD)
            code = child.code()
            if code is not None and not has_served:
                return code
            has_served = True
            if code is not None:
                child.end()
                child = _Child(listener, arguments,
                               f'The app does not run: its process ended with {code}. Where '
                               '`cloister dev` was started stands why.')
            now = _snapshot(folder)
            if now != before:
                say('files have changed: starting anew')
                child.end()
                before = now
                fault = find_fault()
                if fault:
                    say(fault)
                child = _Child(listener, arguments, fault)
    except KeyboardInterrupt:
        return 0
    finally:
        child.end()


def end_with_parent():
    """For the child: its stdin ends when the parent does."""
    def wait():
        while os.read(0, 1):
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
