import no_such_module


def application(environ, start_response):
    raise AssertionError
