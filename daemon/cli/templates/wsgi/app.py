"""The app: a WSGI callable, which cloister.toml names."""

import logging

import cloister

log = logging.getLogger("@NAME@")
log.setLevel(logging.INFO)


def application(environ, start_response):
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"There is nothing here.\n"]
    visits = cloister.cache.incr("visits", initial=1)
    log.info("visit", extra={"visits": visits})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello from @NAME@, visit {visits}\n".encode()]
