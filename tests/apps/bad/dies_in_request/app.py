import os


def application(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        os._exit(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
