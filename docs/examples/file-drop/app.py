"""A place to drop files, and to pick them up.

    curl -T holiday.jpg http://file-drop.demo.localhost/
    curl -O http://file-drop.demo.localhost/holiday.jpg

A file is an object of persistence and its name a name there: two files of the same bytes are kept
once, and none is ever half there. Neither way is a file in the memory of the worker as a whole.
"""

import html
import mimetypes
from urllib.parse import quote

from cloister import QuotaExceeded, persistence

NAME_MAX = 200
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>File drop</title>
<h1>File drop</h1>
<ul>
{files}</ul>
"""
FILE = '<li><a href="{link}">{name}</a> {size:,} bytes\n'


def listing(environ, respond):
    files = "".join(
        FILE.format(
            link=quote(name, safe=""), name=html.escape(name), size=persistence.stat(id).size
        )
        for name, id in persistence.names()
    )
    return respond("200 OK", PAGE.format(files=files), "text/html; charset=utf-8")


def drop(name, environ, respond):
    if not 0 < len(name) <= NAME_MAX or "/" in name:
        return respond("400 Bad Request", "A name has up to 200 characters, and no '/'.\n")
    try:
        id = persistence.write(environ["wsgi.input"])
        persistence.put(name, id)
    except QuotaExceeded as full:
        return respond("507 Insufficient Storage", f"{full}\n")
    return respond("201 Created", f"{id}\n", headers=[("Location", "/" + quote(name, safe=""))])


def pick_up(name, environ, respond):
    id = persistence.get(name)
    if id is None:
        return respond("404 Not Found", "There is no such file.\n")
    reader = persistence.open(id)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = [("ETag", f'"{id}"'), ("X-Content-Type-Options", "nosniff")]
    if environ.get("HTTP_IF_NONE_MATCH") == f'"{id}"':
        return respond("304 Not Modified", "", None, headers)
    respond("200 OK", None, kind, [*headers, ("Content-Length", str(reader.size))])
    return environ["wsgi.file_wrapper"](reader)


def remove(name, environ, respond):
    if not persistence.delete_name(name, with_object=True):
        return respond("404 Not Found", "There is no such file.\n")
    return respond("204 No Content", "", None)


METHODS = {"GET": pick_up, "HEAD": pick_up, "PUT": drop, "DELETE": remove}


def application(environ, start_response):
    def respond(status, text, kind="text/plain; charset=utf-8", headers=()):
        """Begins an answer; all of it, when there is a text."""
        all_headers = [*headers]
        if kind is not None:
            all_headers.append(("Content-Type", kind))
        if text:
            all_headers.append(("Content-Length", str(len(text.encode()))))
        start_response(status, all_headers)
        return [text.encode()] if text else []

    # PEP 3333 has the bytes of a path as Latin-1.
    name = environ["PATH_INFO"][1:].encode("latin-1").decode(errors="replace")
    method = environ["REQUEST_METHOD"]
    if not name and method in ("GET", "HEAD"):
        return listing(environ, respond)
    handle = METHODS.get(method)
    if handle is None:
        return respond("405 Method Not Allowed", "", headers=[("Allow", "GET, HEAD, PUT, DELETE")])
    return handle(name, environ, respond)
