"""PEP 3333 by hand: what a request looks like from inside."""
import os


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/echo":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "application/octet-stream"),
                                  ("Content-Length", str(len(body)))])
        return [body]
    if path == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%d " % number for number in range(5))
    if path == "/write":
        write = start_response("201 Created", [("Content-Type", "text/plain")])
        write(b"written, ")
        return [b"returned"]
    if path == "/environ":
        start_response("200 OK", [("Content-Type", "text/plain")])
        names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL",
                 "HTTP_X_NAME", "wsgi.url_scheme", "wsgi.multithread")
        return ["".join(f"{name}={environ.get(name)}\n" for name in names).encode()]
    if path == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        with open(os.path.join(os.path.dirname(__file__), "data", "note.txt"), "rb") as note:
            return [note.read()]
    if path == "/log":
        print("printed by wsgi")
        print("to wsgi.errors", file=environ["wsgi.errors"])
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from wsgi\n"]
