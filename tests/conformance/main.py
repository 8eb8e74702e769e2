"""The cases as an app: GET /run/NAME runs one and answers `ok`, or what was not so."""

import os
import traceback
import urllib.parse

import cases
import cloister
import object_cases
import query_cases
from cloister import cache


def run(name):
    cache.clear()
    try:
        if name in object_cases.CASES:
            object_cases.clear()
        if name in query_cases.CASES:
            query_cases.empty()
        cases.CASES[name]()
    except Exception:
        return traceback.format_exc()
    return "ok"


def keep(query):
    """/keep?key=value&...: stores values. /kept?key&...: shows what is there."""
    values = dict(urllib.parse.parse_qsl(query))
    return repr(cache.set_multi({key: value.encode() for key, value in values.items()}))


def kept(query):
    return repr(sorted(cache.get_multi(query.split("&")).items()))


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path.startswith("/run/"):
        text = run(path[len("/run/") :])
    elif path == "/keep":
        text = keep(query)
    elif path == "/kept":
        text = kept(query)
    elif path == "/clear":
        text = repr(cache.clear())
    else:
        text = f"{cloister.__version__} {os.getpid()}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode("utf-8", "backslashreplace")]
