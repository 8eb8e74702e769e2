"""HTTP/1.1 in front of the app: good enough for one developer, and no more."""

from __future__ import annotations

import http.server
import socket
import socketserver

from cloister.dev import static, wsgi

_REFUSED = {405: 'Method Not Allowed', 411: 'Length Required', 413: 'Content Too Large',
            416: 'Range Not Satisfiable'}


class _BodyRefused(Exception):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    project = None
    runner = None
    events = None

    def _handle(self):
        try:
            body = self._read_body()
        except _BodyRefused as refused:
            self.close_connection = True
            self._plain(refused.args[0], '')
            return
        file = static.find(self.project, self.path)
        if file is not None:
            self._serve_file(file)
        else:
            self._serve_app(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle

    def _read_body(self):
        if 'chunked' in self.headers.get('Transfer-Encoding', '').lower():
            return self._read_chunks()
        length = self.headers.get('Content-Length', '0')
        if not length.isdecimal():
            raise _BodyRefused(411)
        if int(length) > wsgi.BODY_MAX:
            raise _BodyRefused(413)
        return self.rfile.read(int(length))

    def _read_chunks(self):
        body = b''
        while True:
            head = self.rfile.readline(100).partition(b';')[0].strip()
            try:
                size = int(head, 16)
            except ValueError:
                raise _BodyRefused(411) from None
            if size < 0 or len(body) + size > wsgi.BODY_MAX:
                raise _BodyRefused(413)
            body += self.rfile.read(size)
            self.rfile.readline(2)
            if size == 0:
                return body

    def _plain(self, status, text, headers=()):
        data = (text or _REFUSED[status]).encode() + b'\n'
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Type', 'text/plain; charset=utf-8')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def _serve_file(self, file):
        if self.command not in ('GET', 'HEAD'):
            self._plain(405, '', [('Allow', 'GET, HEAD')])
            return
        known = self.headers.get('If-None-Match', '')
        if known.strip() == '*' or file.tag in known:
            self._send_file(304, file, None)
            return
        part = None
        if self.command == 'GET':
            part = file.part(self.headers.get('Range', ''), self.headers.get('If-Range', ''))
        if part == (0, 0):
            self._plain(416, '', [('Content-Range', f'bytes */{len(file.data)}')])
        elif part:
            whole = len(file.data)
            file.data = file.data[part[0]:part[1]]
            self._send_file(206, file, f'bytes {part[0]}-{part[1] - 1}/{whole}')
        else:
            self._send_file(200, file, None)

    def _send_file(self, status, file, content_range):
        self.send_response(status)
        for name, value in file.headers():
            self.send_header(name, value)
        if content_range:
            self.send_header('Content-Range', content_range)
        if status != 304:
            self.send_header('Content-Length', str(len(file.data)))
        self.end_headers()
        if status != 304 and self.command == 'GET':
            self.wfile.write(file.data)

    def _serve_app(self, body):
        environ = wsgi.environ_of(self.command, self.path, self.headers.items(), body,
                                  self.client_address, self.request_version)
        answer = _Answer(self, environ['cloister.request_id'])
        try:
            self.runner.run(environ, answer.begin)
            answer.end()
        except wsgi.AppFailed:
            self.close_connection = True
            if not answer.begun:
                self._plain(500, 'The app failed; request ' + environ['cloister.request_id'],
                            [('X-Request-Id', environ['cloister.request_id'])])
        except wsgi.ClientGone:
            self.close_connection = True

    def log_request(self, code='-', size='-'):
        self.events.say('access', f'{self.command} {self.path} {int(code)}')

    def log_message(self, format, *args):
        self.events.say('access', format % args)


class _Answer:
    """The app's answer on its way out: framed by length, by chunks or by the connection's end."""

    def __init__(self, handler, request_id):
        self._handler = handler
        self._request_id = request_id
        self._chunked = False
        self._drops_body = False
        self.begun = False

    def begin(self, status, headers):
        handler = self._handler
        code, _, reason = status.partition(' ')
        handler.send_response(int(code), reason)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header('X-Request-Id', self._request_id)
        self._drops_body = handler.command == 'HEAD' or code in ('204', '304')
        if not self._drops_body and not any(name.lower() == 'content-length'
                                            for name, _ in headers):
            self._chunked = handler.request_version == 'HTTP/1.1'
            if self._chunked:
                handler.send_header('Transfer-Encoding', 'chunked')
            else:
                handler.close_connection = True
        try:
            handler.end_headers()
        except ConnectionError as error:
            raise wsgi.ClientGone from error
        self.begun = True
        return self._write

    def _write(self, data):
        if self._drops_body:
            return
        if self._chunked:
            data = b'%x\r\n%s\r\n' % (len(data), data)
        self._send(data)

    def _send(self, data):
        try:
            self._handler.wfile.write(data)
        except ConnectionError as error:
            raise wsgi.ClientGone from error

    def end(self):
        if self._chunked:
            self._send(b'0\r\n\r\n')


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, listener, project, runner, events):
        kind = type('Handler', (Handler,), {'project': project, 'runner': runner,
                                            'events': events})
        super().__init__(listener.getsockname()[:2], kind, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


def listen(host, port):
    """A listening socket. OSError when that cannot be had."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener
