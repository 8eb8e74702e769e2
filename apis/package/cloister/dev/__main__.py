"""python3 -m cloister.dev [MODULE:CALLABLE]: serves an app of this folder on 127.0.0.1."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys

from cloister._local import config
from cloister.dev import checks, console, notes, project as project_module, reload, server, wsgi
from cloister.logging import refuse_handlers

_DIFFERENCES = """\
What differs from a node: config is of {config}; the cache and its quotas are in
this process's memory, and empty after a change; there is one worker, without walls and without
limits of memory, time and CPU. Files that are written, sockets and processes are noted, not
refused. `cloister check` tries a directory on a node without putting it live."""


def _arguments(words):
    parser = argparse.ArgumentParser(
        prog='cloister.dev', description='Serves an app on this machine, without a node.',
        epilog='Exit codes: 0 ended or all checks held, 1 a check failed or the app cannot be '
               'imported, 2 wrong usage.')
    parser.add_argument('entry', nargs='?', default='', metavar='MODULE:CALLABLE',
                        help='which callable ([entry] web of cloister.toml)')
    parser.add_argument('--dir', default='.', help='the folder with cloister.toml (.)')
    parser.add_argument('--host', default='127.0.0.1', help='the address to listen on (127.0.0.1)')
    parser.add_argument('--port', type=int, default=8000, help='the port; 0: a free one (8000)')
    parser.add_argument('--config', default='', metavar='FILE',
                        help=f'lines NAME=VALUE ({project_module.CONFIG_FILE}, if it is there)')
    parser.add_argument('--check', action='store_true',
                        help='ask what [[check]] says, do not listen')
    parser.add_argument('--no-reload', action='store_true',
                        help='do not start anew when files change')
    options = parser.parse_args(words)
    if not 0 <= options.port <= 65535:
        parser.error(f'not a port: {options.port}')
    return options


def _say(line):
    print(f'cloister dev: {line}', file=sys.__stderr__, flush=True)


def _begin(project):
    """Makes this process what a worker is to an app; returns where its events go."""
    config.replace(project.config)
    sys.argv[:] = ['']
    sys.dont_write_bytecode = True
    events = console.install(project.version)

    def note(text, *more):
        events.say('runtime', text, 'warning', 'cloister')

    refuse_handlers(lambda name, reason: note(f'{name} was refused: {reason}'))
    notes.Notes(note, project.folder).install()
    return events


def _run(project, listener, options):
    events = _begin(project)
    try:
        app = wsgi.load(project)
        wsgi.run_release_script(project)
    except project_module.BadInput:
        raise
    except Exception as error:
        text = events.traceback(error)
        if not os.environ.get(reload.SOCKET_VARIABLE):
            return 1
        return _listen(project, listener, wsgi.Broken(text), events)
    runner = wsgi.Runner(app, project, events)
    if options.check:
        events.mark = '[check]'
        return 0 if checks.run(project, runner, _say) else 1
    return _listen(project, listener, runner, events)


def _listen(project, listener, runner, events):
    if isinstance(runner, wsgi.Broken):
        _say('waiting for a change of a file')
    try:
        server.Server(listener, project, runner, events).serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


def _announce(project, listener, options):
    host, port = listener.getsockname()[:2]
    config = options.config or project_module.CONFIG_FILE
    for line in _DIFFERENCES.format(config=config).splitlines():
        _say(line)
    _say(f'{project.name} {project.version} on http://{host}:{port}/ (Ctrl-C ends it)')


def _serve_as_child(options, descriptor):
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    reload.end_with_parent()
    listener = socket.socket(fileno=descriptor)
    broken = os.environ.get(reload.BROKEN_VARIABLE)
    if broken:
        project = project_module.Project(os.path.abspath(options.dir))
        return _listen(project, listener, wsgi.Broken(broken), console.install(project.version))
    project = project_module.read(options.dir, options.entry, options.config)
    return _run(project, listener, options)


def _serve(options, words):
    inherited = os.environ.get(reload.SOCKET_VARIABLE)
    if inherited:
        return _serve_as_child(options, int(inherited))
    project = project_module.read(options.dir, options.entry, options.config)
    if options.check:
        return _run(project, None, options)
    try:
        listener = server.listen(options.host, options.port)
    except OSError as error:
        raise project_module.BadInput(
            f'cannot listen on {options.host}:{options.port}: {error.strerror or error}') from None
    with listener:
        _announce(project, listener, options)
        if options.no_reload:
            return _run(project, listener, options)
        return reload.serve(listener, project.folder, words, _say)


def main(words):
    options = _arguments(words)
    try:
        return _serve(options, words)
    except project_module.BadInput as problem:
        _say(f'error: {problem}')
        return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
