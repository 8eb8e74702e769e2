"""The app of a rehearsal (rehearsal.py)."""


def application(environ, start_response):
    start_response('204 No Content', [])
    return []
