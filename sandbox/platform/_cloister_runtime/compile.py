"""The compile job: bytecode of every module, none of them imported."""

import marshal
import warnings

import _cloister
from _cloister_runtime import report

_RUNTIME_LOG = 3
_WARNING = 30


def _failure(path, error):
    if isinstance(error, SyntaxError):
        return report.of_syntax_error(error, '')
    message = f'{report.one_line(error)} while compiling {path}'
    return report.make('syntax_error', message, error, file=path)


def compile_all():
    """Sends the code of each .py of the app. None, or the report about the first that fails.

    Packages often carry files for other versions of Python: those stay without bytecode.
    """
    warnings.simplefilter('ignore')
    image = _cloister.app_image()
    for index in range(len(image)):
        path = image.path(index)
        if not path.endswith('.py'):
            continue
        try:
            code = marshal.dumps(compile(bytes(image.contents(index)), path, 'exec',
                                         dont_inherit=True, optimize=0))
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            if not path.startswith('site-packages/'):
                return _failure(path, error)
            text = f'{path} does not compile and is left as it is: {report.one_line(error)}'
            _cloister.log(_RUNTIME_LOG, _WARNING, 'cloister', text.encode('utf-8', 'replace'))
            continue
        _cloister.send_code(path, code)
    return None
