"""Files of [static], which a node serves without asking the app."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import urllib.parse


_RANGE = re.compile(r'bytes=(\d{0,18})-(\d{0,18})\Z')


class StaticFile:
    def __init__(self, path, row):
        with open(path, 'rb') as file:
            self.data = file.read()
        kind, encoding = mimetypes.guess_type(path)
        kind = 'application/octet-stream' if kind is None or encoding else kind
        self.type = kind + '; charset=utf-8' if kind.startswith('text/') else kind
        self.tag = '"' + hashlib.sha256(self.data).hexdigest() + '"'
        self.cache = 'no-cache' if row.max_age is None else f'public, max-age={row.max_age}'

    def headers(self):
        return [('Content-Type', self.type), ('ETag', self.tag), ('Cache-Control', self.cache),
                ('Accept-Ranges', 'bytes'), ('X-Content-Type-Options', 'nosniff')]

    def part(self, wanted, if_range):
        """(first, one behind the last) of the bytes that a Range header wants; None: all of them,
        and (0, 0) when there are no such."""
        match = _RANGE.match(wanted.strip()) if if_range in ('', self.tag) else None
        if not match or match.groups() == ('', ''):
            return None
        size = len(self.data)
        if not match[1]:
            first, end = size - min(int(match[2]), size), size
        else:
            first, end = int(match[1]), min(int(match[2] or size) + 1, size)
            if match[2] and int(match[2]) < first:
                return None
        return (first, end) if first < end else (0, 0)


def _row_of(rows, path):
    """The longest row that fits."""
    fitting = [row for row in rows
               if path == row.path or (row.path.endswith('/') and path.startswith(row.path))]
    return max(fitting, key=lambda row: len(row.path), default=None)


def find(project, target):
    """The file that a request is for; None: the app is asked."""
    try:
        path = urllib.parse.unquote(target.partition('?')[0], errors='strict')
    except UnicodeDecodeError:
        return None
    row = _row_of(project.static, path)
    if row is None:
        return None
    inner = path[len(row.path):] if row.path.endswith('/') else ''
    if row.path.endswith('/') and (not inner or inner.endswith('/')):
        inner += 'index.html'
    parts = [part for part in (row.target.rstrip('/') + '/' + inner).split('/') if part]
    if '..' in parts or '.' in parts or '\0' in path:
        return None
    file = os.path.join(project.folder, *parts)
    return StaticFile(file, row) if os.path.isfile(file) else None
