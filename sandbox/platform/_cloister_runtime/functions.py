"""What the node asks of the worker itself, rather than of its app.

Such a request comes on the channel with a flag that no client can set. It is served as any other,
by the WSGI application below: the path names the function, headers and body are its arguments.
"""

import re

import cloister
from _cloister_runtime import boot, loader, module_rules, report


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


def _failure_of_script(entry):
    """Calls what [entry] release names; None, or a report about why it failed."""
    script, failure = boot.load_entry(entry, 'release')
    if failure is not None:
        return failure
    try:
        script()
    except cloister.WallTimeExceeded:
        raise
    except SystemExit as error:
        if error.code not in (None, 0):
            return report.make('', f'it ended with {error.code!r}', error, loader._label)
    except BaseException as error:
        return report.make('', report.one_line(error), error, loader._label)
    return None


def _release(environ):
    """Runs the script of a release; daemon/releases/release_script.h has the form."""
    failure = _failure_of_script(environ['HTTP_ENTRY'])
    if failure is None:
        return '200 OK', ''
    _, message, file, line, traceback = failure
    head = [file, b'%d' % line, message.replace(b'\n', b' ')]
    return '422 Unprocessable Content', b'\n'.join([*head, traceback]).decode('utf-8', 'replace')


_FUNCTIONS = {'match': _match, 'modules': _modules, 'release': _release}


def application(environ, start_response):
    function = _FUNCTIONS.get(environ['PATH_INFO'])
    status, text = function(environ) if function else ('404 Not Found', 'there is no such function')
    body = text.encode('utf-8', 'backslashreplace')
    start_response(status, [('Content-Type', 'text/plain; charset=utf-8'),
                            ('Content-Length', str(len(body)))])
    return [body]
