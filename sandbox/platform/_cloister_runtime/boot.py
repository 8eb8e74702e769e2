"""A worker's begin (its app comes in), its entry point, and its orderly end."""

import atexit
import difflib
import os
import pkgutil
import sys
import traceback

import _cloister
import cloister
from _cloister_runtime import files, loader, module_rules, report

# Modules that Python has always imported before an app's first line: a file of the same name in
# the bundle does not replace them, here as anywhere.
_NEVER_REPLACED = {'__main__', 'abc', 'cloister', 'codecs', 'encodings', 'genericpath', 'io', 'os',
                   'posixpath', 'site', 'stat'}


def _forget(name):
    for loaded in [other for other in sys.modules if other.startswith(name + '.')]:
        module_rules.forget(loaded)
    module_rules.forget(name)


def _forget_shadowed_modules():
    """Modules of the bundle win over those of the standard library, preloaded or not.

    Walks the bundle and not sys.modules: each name of that would be a page of private memory.
    """
    image = _cloister.app_image()
    for name, index in image.list(''):
        if index >= 0:
            if not name.endswith('.py'):
                continue
            name = name[:-3]
        elif image.lookup(name + '/__init__.py') < 0:
            continue
        if name in sys.modules and name not in _NEVER_REPLACED and not name.startswith('_') \
                and name not in sys.builtin_module_names:
            _forget(name)


def begin(label, environment, scratch_max, rules):
    """Gives the interpreter its app."""
    for pair in environment.split(b'\0'):
        name, equals, value = pair.partition(b'=')
        if equals:
            os.environb[name] = value
    os.environ.update(_cloister.config()[0])
    loader.set_label(label)
    files.begin(label, scratch_max)
    sys.path[:] = [loader.APP_ROOT, loader.STANDARD_LIBRARY, loader.RUNTIME, loader.SITE_PACKAGES]
    sys.argv[:] = ['']
    _forget_shadowed_modules()
    module_rules.begin(rules)


def _hint(near):
    return f": did you mean {' or '.join(repr(name) for name in near)}?" if near else ''


def _is_entry_missing(error, module_name, label):
    """Whether it is the entry's own module that is not there, rather than one that it imports."""
    missing = getattr(error, 'name', None) or ''
    return isinstance(error, ModuleNotFoundError) and missing != '' \
        and (module_name + '.').startswith(missing + '.') and not report.is_in_app(error, label)


def _missing_entry_module(module_name, key):
    package = module_name.rpartition('.')[0]
    modules = list(pkgutil.iter_modules([loader.APP_ROOT]))
    if package:
        folder = f"{loader.APP_ROOT}/{package.replace('.', '/')}"
        modules += pkgutil.iter_modules([folder], package + '.')
    hint = _hint(difflib.get_close_matches(module_name, [name for _, name, _ in modules], 3, 0.5))
    message = f"there is no module '{module_name}' in the bundle, which [entry] {key} names{hint}"
    return report.make('entry_missing', message, file='cloister.toml')


def _standard_module_of(error, label):
    """The module of Python's standard library that is missing, or has asked for one that is; ''."""
    cause = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or (cause.name or '').partition('.')[0] not in sys.stdlib_module_names:
        return ''
    asked = cause.name
    for each in (cause, error):
        for frame, _ in traceback.walk_tb(each.__traceback__):
            name = frame.f_globals.get('__name__')
            if isinstance(name, str) and not name.startswith('importlib') and \
                    name.partition('.')[0] in sys.stdlib_module_names and \
                    not report.bundle_path(frame.f_code.co_filename, label):
                asked = name
        if asked != cause.name:
            break
    return asked


def _missing_module(error, label):
    """The report about an import that found nothing: which, and the way out."""
    message = str(error)
    if standard := _standard_module_of(error, label):
        message = f"workers do not have '{standard}' of Python's standard library, and no " \
                  'package brings it: do without'
    elif isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition('.')[0]
        message += f': add "{top}" to [bundle] packages in cloister.toml, or its file to the bundle'
    return report.make('import_error', message, error, label)


def _denied_module(error, label):
    if report.is_in_app(error, label):
        return report.make('module_denied', str(error), error, label)
    # It is the entry's own module.
    return report.make('module_denied', str(error), file='cloister.toml')


def _failed_import(error, module_name, label, key):
    if isinstance(error, SyntaxError):
        return report.of_syntax_error(error, label)
    if isinstance(error, cloister.WallTimeExceeded):
        return report.make('boot_timeout', str(error), error, label)
    if isinstance(error, MemoryError):
        message = f'{report.one_line(error)} while the entry point was imported'
        return report.make('memory_exceeded', message, error, label)
    if isinstance(error, module_rules.ModuleDenied):
        return _denied_module(error, label)
    if _is_entry_missing(error, module_name, label):
        return _missing_entry_module(module_name, key)
    if isinstance(error, ImportError):
        return _missing_module(error, label)
    return report.make('app_raised', report.one_line(error), error, label)


def _find_attribute(module, dotted):
    value = module
    for part in dotted.split('.'):
        value = getattr(value, part)
    return value


def _missing_entry(module, module_name, dotted):
    names = [name for name in vars(module) if not name.startswith('_')]
    near = difflib.get_close_matches(dotted, names, 3, 0.5)
    near += [name for name in ('application', 'app') if name in names and name not in near]
    file = report.bundle_path(getattr(module, '__file__', None) or '', '/app')
    message = f"module '{module_name}' has no '{dotted}'{_hint(near)}"
    return report.make('entry_missing', message, file=file)


def load_entry(entry, key='web'):
    """Imports module:callable, which [entry] `key` names. (callable, None) or (None, report)."""
    module_name, _, dotted = entry.partition(':')
    dotted = dotted or 'application'
    label = loader._label
    try:
        __import__(module_name)
        module = sys.modules[module_name]
    except BaseException as error:
        return None, _failed_import(error, module_name, label, key)
    try:
        app = _find_attribute(module, dotted)
    except AttributeError:
        return None, _missing_entry(module, module_name, dotted)
    except BaseException as error:
        return None, _failed_import(error, module_name, label, key)
    if not callable(app):
        file = report.bundle_path(getattr(module, '__file__', None) or '', '/app')
        message = f"'{entry}' is a {type(app).__name__}, which cannot be called"
        return None, report.make('entry_not_callable', message, file=file)
    return app, None


def end():
    """What the app registered with atexit."""
    atexit._run_exitfuncs()
