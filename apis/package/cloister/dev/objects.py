"""Responses whose body is an object of the app, which a node sends itself."""

from __future__ import annotations

import json
import re

from cloister import persistence

HEADER = 'cloister-object'
_ID = re.compile(r'[0-9a-f]{64}\Z')
_OWN = (HEADER, 'content-length', 'etag', 'accept-ranges', 'content-range')
_WITHOUT_BODY = ('204', '205', '206', '304')


class Misused(Exception):
    """The header does not say what can be sent."""


def named(headers):
    """The value of the header, if there is one."""
    return next((value for name, value in headers if name.lower() == HEADER), None)


def _problem(status, code, title, detail):
    body = json.dumps({'type': 'docs/errors.md#' + code, 'title': title,
                       'status': int(status[:3]), 'detail': detail, 'code': code}).encode()
    return status, [('Content-Type', 'application/problem+json'),
                    ('Content-Length', str(len(body)))], [body]


def answer(environ, id, status, headers):
    """Status, headers and blocks of the response, as a node sends it; ranges are for nodes only."""
    if not _ID.match(id):
        raise Misused('its Cloister-Object is not the id of an object: 64 hexadecimal digits')
    if status[:3] in _WITHOUT_BODY:
        raise Misused(f'a response of status {status[:3]} cannot be an object: answer 200, the '
                      'node does the rest')
    headers = [(name, value) for name, value in headers if name.lower() not in _OWN]
    try:
        reader = persistence.open(id)
    except persistence.ObjectNotFound:
        return _problem('404 Not Found', 'object_not_found', 'Not Found',
                        'There is no such object.')
    tag = f'"{id}"'
    if status[:3] == '200':
        headers.append(('ETag', tag))
        wanted = [part.strip() for part in environ.get('HTTP_IF_NONE_MATCH', '').split(',')]
        if environ['REQUEST_METHOD'] in ('GET', 'HEAD') and (tag in wanted or '*' in wanted):
            kept = [(name, value) for name, value in headers if name.lower() != 'content-type']
            return '304 Not Modified', kept, []
    if not any(name.lower() == 'content-type' for name, _ in headers):
        headers.append(('Content-Type', 'application/octet-stream'))
    headers.append(('Content-Length', str(reader.size)))
    return status, headers, iter(lambda: reader.read(1 << 16), b'')
