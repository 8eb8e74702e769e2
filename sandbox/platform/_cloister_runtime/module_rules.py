"""Modules of the platform that the node's operator denies to apps ([modules] in its settings).

A policy and no wall: what a worker can do is what its confinement leaves it.
"""

import sys

import _cloister
from _cloister_runtime import loader

_NOT_LISTED = ('__main__', '__mp_main__', '_cloister', '_cloister_runtime')

# Of a module, or of all below it: whether it is denied.
_denied = {}
# The packages that an allowed module is in: importing it imports them.
_parents = set()
# Of the platform's modules that every worker begins with: lines of loaded(), the last one's name.
_preloaded = []
_forgotten = set()


def _is_denied(name):
    if name in _parents:
        return False
    top = part = name
    while part:
        if part in _denied:
            return _denied[part]
        top = part
        part = part.rpartition('.')[0]
    return _denied.get('*', False) and not top.startswith('_')


def _is_of_bundle(name):
    top = name.partition('.')[0]
    image = _cloister.app_image()
    return image.module(top) is not None or image.module('site-packages/' + top) is not None


class ModuleDenied(ImportError):
    """An ImportError to the app. The report about a boot tells it from others."""

    # Tracebacks show its name alone, as they do for ImportError.
    __module__ = 'builtins'


class _Refuser:
    """Stands in front of the finders."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if _is_denied(name) and not _is_of_bundle(name):
            raise ModuleDenied(f"module '{name}' is denied on this node: its operator's settings "
                               "have it in [modules] deny", name=name)
        return None


def forget(name):
    """Takes a module of the platform out: importing it looks for it again. What has it goes on."""
    _forgotten.add(name)
    return sys.modules.pop(name)


def _deny(name):
    module = forget(name)
    parent, _, tail = name.rpartition('.')
    package = sys.modules.get(parent)
    if getattr(package, tail, None) is module:
        delattr(package, tail)


def begin(rules):
    """Takes the rules, '-NAME' or '+NAME' each, ended by a NUL; before anything of the app."""
    for rule in rules.split('\0'):
        if rule:
            _denied[rule[1:]] = rule[0] == '-'
        if rule[:1] == '+':
            parts = rule[1:].split('.')
            _parents.update('.'.join(parts[:end]) for end in range(1, len(parts)))
    if not _denied:
        return
    for name in list(sys.modules):
        if _is_denied(name):
            _deny(name)
    sys.meta_path.insert(0, _Refuser)


def _line_of(name, module, fileless):
    spec = getattr(module, '__spec__', None)
    file = getattr(spec, 'origin', None)
    if not isinstance(file, str) or not file.startswith('/'):
        origin, path = 'platform' if file in ('built-in', 'frozen') else fileless, ''
    elif file.startswith(loader.APP_ROOT + '/'):
        origin, path = 'app', file[len(loader.APP_ROOT) + 1:]
    else:
        origin, path = 'platform', file.lstrip('/')
    return f'{name}\t{origin}\t{path}\n'


def _is_listed(name):
    # An app may put anything there. What would break a line is left out.
    return isinstance(name, str) and name.partition('.')[0] not in _NOT_LISTED \
        and '\t' not in name and '\n' not in name


def _lines_since(last, fileless):
    """Of the modules that were imported after `last`, the newest first. `fileless` is the origin
    of those that have no file."""
    lines = []
    for name in reversed(sys.modules):
        if name == last:
            break
        if _is_listed(name):
            lines.append(_line_of(name, sys.modules[name], fileless))
    return lines


def remember_preloaded():
    """Once all is loaded that workers begin with. In a worker each of those modules that is looked
    at would be pages of private memory, and their time."""
    _preloaded[:] = [''.join(_lines_since(None, 'platform')), next(reversed(sys.modules))]


def loaded():
    """A line for each module that is loaded: name, origin and path, with tabs between.

    The origin is 'app' or 'platform'; the path is the one in the image, empty without a file. The
    runtime's own are left out.
    """
    preloaded, last = _preloaded
    if _forgotten:
        preloaded = ''.join(line for line in preloaded.splitlines(keepends=True)
                            if line.partition('\t')[0] not in _forgotten)
    # Namespace packages, and what a program made itself, belong to the app.
    return preloaded + ''.join(_lines_since(last, 'app'))
