"""What the node asks of the worker itself, rather than of its app.

Such a request comes on the channel with a flag that no client can set. It is served as any other,
by the WSGI application below: the path names the function, headers and body are its arguments.
"""

import re

from _cloister_runtime import module_rules


def _match(environ):
    """Whether the pattern in a header is found in the body: 1 or 0."""
    pattern = environ['HTTP_PATTERN'].encode('latin-1').decode('utf-8', 'replace')
    text = environ['wsgi.input'].read().decode('utf-8', 'replace')
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return '422 Unprocessable Content', str(error)
    return '200 OK', '0' if compiled.search(text) is None else '1'


def _modules(environ):
    """What is loaded; daemon/releases/modules.h has the form."""
    return '200 OK', module_rules.loaded()


_FUNCTIONS = {'match': _match, 'modules': _modules}


def application(environ, start_response):
    function = _FUNCTIONS.get(environ['PATH_INFO'])
    status, text = function(environ) if function else ('404 Not Found', 'there is no such function')
    body = text.encode('utf-8', 'backslashreplace')
    start_response(status, [('Content-Type', 'text/plain; charset=utf-8'),
                            ('Content-Length', str(len(body)))])
    return [body]
