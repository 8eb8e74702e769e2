"""python3 -m cloister.dev [MODULE:CALLABLE]: serves an app of this folder on 127.0.0.1."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys

from cloister._local import config
from cloister.dev import checks, console, notes, project as project_module, reload, server, wsgi
from cloister.dev.project import BadInput
from cloister.logging import refuse_handlers

_DIFFERENCES = """\
What differs from a node: config is of {config}; cache, objects and database are in
this process's memory, and empty after a change; there is one worker, without walls and without
limits of memory, time and CPU; static files come without compressed forms. Much of what a node
refuses (files that are written, sockets, processes, ...) is noted, not refused. `cloister check`
tries a directory on a node without putting it live."""


def _arguments(words):
    parser = argparse.ArgumentParser(
        prog='cloister.dev', description='Serves an app on this machine, without a node.',
        epilog='Exit codes: 0 ended or all checks held, 1 failed, 2 wrong usage, 3 refused: by '
               'the manifest, by a check, or because the app cannot be imported.')
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
    parser.add_argument('--validator', default='', help=argparse.SUPPRESS)
    parser.error = _wrong_usage
    options = parser.parse_args(words)
    if not 0 <= options.port <= 65535:
        raise BadInput('usage', f'not a port: {options.port}', 'a port is 0 to 65535')
    return options


def _wrong_usage(message):
    raise BadInput('usage', message, 'see `python3 -m cloister.dev --help`')


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


def _code_of(error):
    if isinstance(error, SyntaxError):
        return 'syntax_error'
    return 'import_error' if isinstance(error, ImportError) else 'app_raised'


def _run(project, listener, options):
    events = _begin(project)
    is_loaded = False
    try:
        app = wsgi.load(project)
        is_loaded = True
        wsgi.run_release_script(project)
    except BadInput as problem:
        if not os.environ.get(reload.SOCKET_VARIABLE):
            raise
        _say(f'{problem}')
        return _listen(project, listener, wsgi.Broken(str(problem)), events)
    except Exception as error:
        text = events.traceback(error)
        if not os.environ.get(reload.SOCKET_VARIABLE):
            code = 'release_failed' if is_loaded else _code_of(error)
            last_line = text.rstrip().rpartition('\n')[2]
            raise BadInput(code, last_line, 'the traceback above shows where') from None
        return _listen(project, listener, wsgi.Broken(text), events)
    runner = wsgi.Runner(app, project, events)
    if options.check:
        events.mark = '[check]'
        checks.run(project, runner, _say)
        return 0
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


def _wrong_with_manifest(options):
    """What a deploy would say against it, or what keeps the app from being served; '' nothing."""
    try:
        project_module.read(options.dir, options.entry, options.config)
    except BadInput as problem:
        return str(problem)
    if not options.validator:
        return ''
    done = subprocess.run([options.validator, 'dev', '--validate', options.dir],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip()
    sys.__stderr__.write(done.stderr)
    return ''


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
        raise BadInput('listen_failed',
                       f'cannot listen on {options.host}:{options.port}: {error.strerror or error}',
                       'take another port with --port; 0: a free one') from None
    with listener:
        _announce(project, listener, options)
        if options.no_reload:
            return _run(project, listener, options)
        return reload.serve(listener, project.folder, words, _say,
                            lambda: _wrong_with_manifest(options))


def main(words):
    try:
        return _serve(_arguments(words), words)
    except BadInput as problem:
        print(problem, file=sys.__stderr__, flush=True)
        return problem.exit_code


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
