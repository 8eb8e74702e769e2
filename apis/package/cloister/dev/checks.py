"""The manifest's [[check]] requests, asked of the app in this process."""

from __future__ import annotations

import re
import time

from cloister.dev import static, wsgi
from cloister.dev.project import BadInput, Check


class _Response:
    def __init__(self):
        self.status = 0
        self.body = b''

    def begin(self, status, headers):
        self.status = int(status.split()[0])
        return self.take

    def take(self, data):
        self.body += data


def _ask(check, project, runner):
    response = _Response()
    file = static.find(project, check.path) if check.method in ('GET', 'HEAD') else None
    if file is not None:
        response.status, response.body = 200, file.data
        return response
    headers = [('Host', f'{project.name.rpartition("/")[2]}.localhost'),
               ('User-Agent', 'cloister-check')]
    given = {name.lower() for name, _ in check.headers}
    headers = [pair for pair in headers if pair[0].lower() not in given] + check.headers
    environ = wsgi.environ_of(check.method, check.path, headers, check.body.encode())
    try:
        runner.run(environ, response.begin)
    except wsgi.AppFailed:
        response.status = response.status or 500
    return response


def _problem(check, response, seconds):
    if check.status is None:
        if response.status >= 500:
            return f'status {response.status}, a server error'
    elif response.status != check.status:
        return f'status {response.status}, expected {check.status}'
    text = response.body.decode('utf-8', 'replace')
    if check.contains and check.contains.encode() not in response.body:
        return f'the body has no {check.contains!r}'
    if check.matches and not re.search(check.matches, text):
        return f'nothing in the body matches {check.matches!r}'
    if seconds > check.seconds:
        return f'it took {seconds:.2f} s, expected {check.seconds:g} s at most'
    return ''


def run(project, runner, say):
    """Asks one after the other. BadInput: an answer is not what was expected."""
    for check in project.checks or [Check('/', status=None)]:
        began = time.monotonic()
        response = _ask(check, project, runner)
        problem = _problem(check, response, time.monotonic() - began)
        if problem:
            raise BadInput('check_failed', f'{check.method} {check.path}: {problem}',
                           'correct the app, or what [[check]] in cloister.toml expects; what the '
                           'app said stands above')
        say(f'check {check.method} {check.path}: {response.status}')
