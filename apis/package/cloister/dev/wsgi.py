"""Calls the app as a worker does: one request at a time, its body complete."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import io
import os
import pkgutil
import re
import sys
import threading
import time
import urllib.parse
import uuid
from typing import Callable
from wsgiref.util import FileWrapper

import cloister
from cloister.dev import console, objects
from cloister.dev.project import BadInput

BODY_MAX = 32 << 20
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_THE_NODES = {'connection', 'date', 'transfer-encoding', 'x-request-id'}
_STATUS = re.compile(r'[2-5]\d\d( .*)?\Z')


class AppFailed(Exception):
    """The app raised, or its answer breaks PEP 3333."""


class ClientGone(Exception):
    """The client has closed the connection: its answer is no use to anybody."""


def load(project) -> Callable:
    """The entry point, imported from the project's folder. BadInput: it is not there."""
    sys.path.insert(0, project.folder)
    site_packages = os.path.join(project.folder, 'site-packages')
    if os.path.isdir(site_packages):
        sys.path.append(site_packages)
    return _find_callable(project, project.entry)


def run_release_script(project) -> None:
    """What [entry] release names, if anything: on a node it runs before a release goes live."""
    if not project.release_entry:
        return
    script = _find_callable(project, project.release_entry)
    try:
        script()
    except SystemExit as error:
        if error.code not in (None, 0):
            raise AppFailed(f'[entry] release ended with {error.code!r}; it ends well by '
                            'returning, or with sys.exit(0)') from error


def _find_callable(project, entry):
    module_name, _, dotted = entry.partition(':')
    dotted = dotted or 'application'
    if not _find(module_name):
        raise BadInput('entry_missing', f"there is no module '{module_name}' in {project.folder}",
                       _did_you_mean(module_name, _modules_of(project.folder)))
    value = module = importlib.import_module(module_name)
    try:
        for part in dotted.split('.'):
            value = getattr(value, part)
    except AttributeError:
        names = [name for name in vars(module) if not name.startswith('_')]
        raise BadInput('entry_missing', f"module '{module_name}' has no '{dotted}'",
                       _did_you_mean(dotted, names, ('application', 'app'))) from None
    if not callable(value):
        raise BadInput('entry_not_callable',
                       f"'{entry}' is a {type(value).__name__}, which cannot be called")
    return value


def _modules_of(folder):
    return [module.name for module in pkgutil.iter_modules([folder])]


def _did_you_mean(name, names, usual=()):
    near = difflib.get_close_matches(name, names, 3, 0.5)
    near += [each for each in usual if each in names and each not in near]
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ''
    return hint + '[entry] in cloister.toml names MODULE:CALLABLE'


def _find(module_name):
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError:
        return False


def environ_of(method, target, headers, body, peer=('127.0.0.1', 0), protocol='HTTP/1.1'):
    """The environ of a request, as a worker makes it. `headers` are (name, value)."""
    path, _, query = target.partition('?')
    environ = {
        'REQUEST_METHOD': method, 'SCRIPT_NAME': '', 'QUERY_STRING': query, 'REQUEST_URI': target,
        'PATH_INFO': urllib.parse.unquote_to_bytes(path).decode('latin-1'),
        'SERVER_PROTOCOL': protocol, 'SERVER_SOFTWARE': 'cloister/' + cloister.__version__,
        'REMOTE_ADDR': peer[0], 'REMOTE_PORT': str(peer[1]),
        'wsgi.version': (1, 0), 'wsgi.url_scheme': 'http', 'wsgi.input': io.BytesIO(body),
        'wsgi.input_terminated': True, 'wsgi.errors': sys.stderr, 'wsgi.multithread': False,
        'wsgi.multiprocess': True, 'wsgi.run_once': False, 'wsgi.file_wrapper': FileWrapper,
        'cloister.request_id': uuid.uuid4().hex[:26].upper(),
    }
    for name, value in headers:
        key = name.upper().replace('-', '_')
        if '_' in name or key == 'TRANSFER_ENCODING':
            continue
        if key not in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
            key = 'HTTP_' + key
        separator = '; ' if key == 'HTTP_COOKIE' else ','
        environ[key] = environ[key] + separator + value if key in environ else value
    if body or 'CONTENT_LENGTH' in environ:
        environ['CONTENT_LENGTH'] = str(len(body))
    host, _, port = environ.get('HTTP_HOST', 'localhost').lower().rpartition(':')
    environ['SERVER_NAME'] = host if port.isdigit() else environ.get('HTTP_HOST', 'localhost')
    environ['SERVER_PORT'] = port if port.isdigit() and host else '80'
    return environ


def _check_head(status, headers):
    if not isinstance(status, str) or not _STATUS.match(status):
        raise AppFailed(f'a status is "200 OK" or the like, from 200 to 599, not {status!r}')
    if type(headers) is not list:
        raise AppFailed(f'headers are a list of (str, str), not {headers!r}')
    for pair in headers:
        if not (isinstance(pair, tuple) and len(pair) == 2
                and all(isinstance(part, str) for part in pair)):
            raise AppFailed(f'a header is (str, str), not {pair!r}')
        if not _HEADER_NAME.match(pair[0]) or re.search('[\r\n\0]', pair[1]):
            raise AppFailed(f'a header has characters that it cannot have: {pair!r}')


class Runner:
    """The app, called by one thread at a time."""

    def __init__(self, app, project, events):
        self._app = app
        self._project = project
        self._events = events
        self._lock = threading.Lock()

    def run(self, environ, begin: Callable[[str, list], Callable[[bytes], None]]):
        """Calls the app. `begin` gets status and headers, and returns what takes the body.

        AppFailed: the app raised or broke the rules; why is in the log.
        """
        with self._lock:
            console.current.request_id = environ['cloister.request_id']
            call = _Call(begin)
            began = time.monotonic()
            try:
                call.run(self._app, environ)
            except ClientGone:
                raise
            except (Exception, cloister.WallTimeExceeded, SystemExit) as error:
                self._events.traceback(error)
                raise AppFailed('the app failed') from error
            finally:
                console.end_lines()
                self._tell_of_time(time.monotonic() - began)
                console.current.request_id = ''

    def _tell_of_time(self, seconds):
        if seconds > self._project.wall_seconds:
            self._events.say('runtime', f'note: the request took {seconds:.1f} s; on a node it '
                             f'would have ended after {self._project.wall_seconds:g} s with '
                             'WallTimeExceeded', 'warning', 'cloister')


class Broken:
    """In place of an app that cannot be started: answers why, whatever is asked."""

    def __init__(self, why):
        self._body = why.rstrip('\n').encode('utf-8', 'backslashreplace') + b'\n'

    def run(self, environ, begin):
        begin('500 Internal Server Error', [('Content-Type', 'text/plain; charset=utf-8'),
                                            ('Content-Length', str(len(self._body)))])(self._body)


class _Call:
    """One call of the app."""

    def __init__(self, begin):
        self._begin = begin
        self._head = None
        self._write_body = None

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self._write_body is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._head is not None:
            raise AppFailed('start_response was called twice')
        _check_head(status, headers)
        kept = [(name, value) for name, value in headers if name.lower() not in _THE_NODES]
        self._head = status, kept
        return self.write

    def write(self, data):
        if not isinstance(data, bytes):
            raise AppFailed(f'a block of the body is bytes, not {type(data).__name__}')
        if self._write_body is None:
            if self._head is None:
                raise AppFailed('start_response was not called before the body')
            # What comes with the name of an object is not its body.
            if objects.named(self._head[1]) is not None:
                return
            self._write_body = self._begin(*self._head)
        if data:
            self._write_body(data)

    def _send_object(self, environ):
        id = objects.named(self._head[1])
        try:
            status, headers, blocks = objects.answer(environ, id, *self._head)
        except objects.Misused as error:
            raise AppFailed(f'the response was not sent: {error}') from None
        write = self._begin(status, headers)
        for block in blocks:
            if environ['REQUEST_METHOD'] != 'HEAD':
                write(block)

    def _measured(self, body):
        """A list or tuple is one answer: its length is known."""
        status, headers = self._head
        if isinstance(body, (list, tuple)) and all(isinstance(part, bytes) for part in body) and \
                not any(name.lower() == 'content-length' for name, _ in headers):
            headers.append(('Content-Length', str(sum(map(len, body)))))

    def run(self, app, environ):
        body = app(environ, self.start_response)
        try:
            if self._head is not None and self._write_body is None:
                self._measured(body)
            for block in body:
                if block or not isinstance(block, bytes):
                    self.write(block)
            self.write(b'')
        finally:
            if hasattr(body, 'close'):
                body.close()
        if self._write_body is None:
            self._send_object(environ)
