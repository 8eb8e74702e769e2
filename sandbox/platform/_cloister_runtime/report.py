"""Tracebacks as the tenant should see them, and reports about apps that cannot boot."""

import traceback

# Frames of the runtime and of the import system say nothing about the app.
_HIDDEN = ('/usr/lib/cloister/', '<frozen importlib')
_TRACEBACK_MAX = 40 * 1024
_MESSAGE_MAX = 2000
# What a text ends with whose end was cut off: the node looks for the beginning of a secret there.
CUT = '...'


def _hide_frames(formatted, seen):
    if formatted is None or id(formatted) in seen:
        return
    seen.add(id(formatted))
    visible = [frame for frame in formatted.stack if not frame.filename.startswith(_HIDDEN)]
    if visible:
        formatted.stack[:] = visible
    _hide_frames(formatted.__cause__, seen)
    _hide_frames(formatted.__context__, seen)
    for inner in formatted.exceptions or ():
        _hide_frames(inner, seen)


def traceback_text(error):
    formatted = traceback.TracebackException.from_exception(error, compact=True)
    if isinstance(error, SyntaxError) and all(
            frame.filename.startswith(_HIDDEN) for frame in formatted.stack):
        # Compiled by the runtime itself: the line and the caret are all there is to say.
        return ''.join(formatted.format_exception_only())
    _hide_frames(formatted, set())
    return ''.join(formatted.format())


def format_exception(error):
    """The traceback as bytes, for the log."""
    try:
        return traceback_text(error).encode('utf-8', 'backslashreplace')
    except RecursionError:
        return f'{type(error).__name__}: the traceback is too deep to be shown'.encode()


def _cut(text, most):
    return text if len(text) <= most else text[:most - len(CUT)] + CUT


def whole_lines(tail):
    """Of the end of a text what follows its first line: nobody finds a secret by its end alone."""
    return tail.partition('\n')[2]


def last_line(text):
    return text.rstrip('\n').rpartition('\n')[2]


def _shortened(text):
    if len(text) <= _TRACEBACK_MAX:
        return text
    half = _TRACEBACK_MAX // 2
    begin = text[:half].rpartition('\n')[0]
    end = whole_lines(text[-half:]) or _cut(last_line(text), half)
    left_out = len(text) - len(begin) - len(end)
    return f'{begin}\n  ... {left_out} characters left out ...\n{end}'


def bundle_path(path, label):
    """A file of the bundle by its path there; '' for others."""
    for prefix in (label + '/', '/app/'):
        if path.startswith(prefix):
            return path[len(prefix):]
    return ''


def _last_app_line(error, label):
    """(file, line) of the innermost frame that is the app's own, rather than of its packages."""
    found = ('', 0)
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = bundle_path(frame.f_code.co_filename, label)
        if path and (not path.startswith('site-packages/') or not found[0]):
            found = (path, line)
    return found


def is_in_app(error, label):
    """Whether a line of the bundle is in the traceback."""
    return _last_app_line(error, label)[0] != ''


def make(code, message, error=None, label='', file='', line=0):
    """A report as the worker sends it: texts are bytes."""
    text = '' if error is None else _shortened(traceback_text(error))
    if error is not None and not file:
        file, line = _last_app_line(error, label)
    return tuple(part.encode('utf-8', 'backslashreplace') if isinstance(part, str) else part
                 for part in (code, _cut(message, _MESSAGE_MAX), file, line or 0, text))


def one_line(error):
    text = str(error).strip().split('\n')[0]
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def of_syntax_error(error, label):
    file = bundle_path(error.filename or '', label) or (error.filename or '')
    return make('syntax_error', f'{type(error).__name__}: {error.msg}', error, label, file,
                error.lineno or 0)
