"""Imports from images: the import system's path finder with one kind of path entry, ours.

sys.path names directories of the virtual tree (/app, /usr/lib/python3.11 ...), so what apps and
libraries do with sys.path, __path__, pkgutil and importlib works as on disk. Executed before
anything can be imported: uses built-in and frozen modules only.
"""

import _frozen_importlib
import _frozen_importlib_external as _external
import _imp
import posixpath
import sys

import _cloister

APP_ROOT = '/app'
SITE_PACKAGES = '/app/site-packages'
STANDARD_LIBRARY = '/usr/lib/python3.11'
RUNTIME = '/usr/lib/cloister/python'

PACKAGE, MODULE, NAMESPACE = 1, 2, 3

# What stands for APP_ROOT in tracebacks: 'hello@1.2.0'. Set when a worker gets its app.
_label = None


def set_label(label):
    global _label
    _label = label


def image_and_path(path):
    """The image that holds an absolute path, and the path in it; (None, None): no image does."""
    if path == APP_ROOT or path.startswith(APP_ROOT + '/'):
        image = _cloister.app_image()
        if image is not None:
            return image, path[len(APP_ROOT) + 1:]
        return None, None
    return _cloister.platform_image(), path.lstrip('/')


def shown_path(path):
    """A file's name in tracebacks: the app's files are told apart by release."""
    if _label is not None and path.startswith(APP_ROOT + '/'):
        return _label + path[len(APP_ROOT):]
    return path


class ImageLoader(_external._LoaderBasics):
    """Loads one module. exec_module is the import system's own, so that it hides its frames."""

    def __init__(self, name, path, image, index):
        self.name = name
        self.path = path
        self._image = image
        self._index = index

    def get_code(self, name):
        code = self._image.code(self._index)
        if code is None:
            return _frozen_importlib._call_with_frames_removed(
                compile, self._image.contents(self._index), shown_path(self.path), 'exec',
                dont_inherit=True)
        _imp._fix_co_filename(code, shown_path(self.path))
        return code

    def get_source(self, name):
        return _external.decode_source(bytes(self._image.contents(self._index)))

    def get_data(self, path):
        image, inner = image_and_path(path)
        index = -1 if image is None else image.lookup(inner)
        if index < 0:
            raise FileNotFoundError(2, 'No such file or directory', path)
        return bytes(image.contents(index))

    def get_filename(self, name):
        return self.path

    def is_package(self, name):
        return self.path.endswith('/__init__.py')

    def get_resource_reader(self, name):
        from importlib.readers import FileReader
        return FileReader(self)

    def __eq__(self, other):
        return self.__class__ is other.__class__ and self.__dict__ == other.__dict__

    def __hash__(self):
        return hash(self.name) ^ hash(self.path)


class ImageFinder:
    """Finds modules in one directory of an image; an entry of sys.path or of a __path__."""

    def __init__(self, path):
        if not isinstance(path, str):
            raise ImportError('not a directory of an image', path=path)
        self.path = posixpath.normpath(posixpath.join(APP_ROOT, path))
        self._image, inner = image_and_path(self.path)
        if self._image is None or self._image.lookup(inner) != -2:
            raise ImportError('not a directory of an image', path=path)
        self._prefix = inner + '/' if inner else ''

    def find_spec(self, name, target=None):
        tail = name.rpartition('.')[2]
        found = self._image.module(self._prefix + tail)
        if found is None:
            return None
        kind, index = found
        path = f'{self.path}/{tail}'
        if kind == NAMESPACE:
            spec = _frozen_importlib.ModuleSpec(name, None)
            spec.submodule_search_locations = [path]
            return spec
        locations = [path] if kind == PACKAGE else None
        path += '/__init__.py' if kind == PACKAGE else '.py'
        return _external.spec_from_file_location(
            name, path, loader=ImageLoader(name, path, self._image, index),
            submodule_search_locations=locations)

    def iter_modules(self, prefix=''):
        """For pkgutil."""
        for name, index in self._image.list(self._prefix.rstrip('/')):
            if index >= 0 and name.endswith('.py') and name != '__init__.py':
                yield prefix + name[:-3], False
            elif index == -2 and '.' not in name:
                if self._image.lookup(f'{self._prefix}{name}/__init__.py') >= 0:
                    yield prefix + name, True

    def invalidate_caches(self):
        """An image never changes."""


def _adopt_imported_modules():
    """Gives our loader to what was imported from files before there was one."""
    for name, module in sys.modules.items():
        spec = getattr(module, '__spec__', None)
        if not isinstance(getattr(spec, 'loader', None), _external.SourceFileLoader):
            continue
        image, inner = image_and_path(spec.origin)
        index = image.lookup(inner)
        spec.loader = module.__loader__ = ImageLoader(name, spec.origin, image, index)
        spec.cached = module.__cached__ = None


def install():
    sys.dont_write_bytecode = True
    sys.path[:] = [STANDARD_LIBRARY, RUNTIME]
    sys.path_hooks[:] = [ImageFinder]
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [_frozen_importlib.BuiltinImporter, _frozen_importlib.FrozenImporter,
                        _external.PathFinder]
    _adopt_imported_modules()


install()
