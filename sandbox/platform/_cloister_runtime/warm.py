"""What the zygote's interpreter loads before the first worker is forked from it."""

import importlib
import importlib.machinery
import os
import sys

import _cloister
from _cloister_runtime import files

EXTENSIONS_FOLDER = '/usr/lib/python3.11/lib-dynload'
EXTENSION_SUFFIX = '.cpython-311-x86_64-linux-gnu.so'

# All extension modules that a worker can have: nothing can be mapped later. _ctypes is not among
# them: it calls any function in memory.
EXTENSIONS = (
    '_asyncio', '_bz2', '_codecs_cn', '_codecs_hk', '_codecs_iso2022', '_codecs_jp', '_codecs_kr',
    '_codecs_tw', '_contextvars', '_crypt', '_decimal', '_hashlib', '_json', '_lsprof', '_lzma',
    '_multibytecodec', '_multiprocessing', '_posixshmem', '_queue', '_sqlite3', '_ssl', '_typing',
    '_uuid', '_zoneinfo', 'audioop', 'mmap', 'resource', 'termios')

# Modules that web frameworks and their packages import: loaded once, shared by all workers.
MODULES = (
    '__future__', 'abc', 'argparse', 'ast', 'asyncio', 'base64', 'binascii', 'bisect', 'calendar',
    'cgi', 'code', 'collections', 'collections.abc', 'colorsys', 'concurrent.futures',
    'concurrent.futures.thread', 'configparser', 'contextlib', 'contextvars', 'copy', 'copyreg',
    'csv', 'dataclasses', 'datetime', 'decimal', 'difflib', 'email', 'email.header',
    'email.message', 'email.mime.base', 'email.mime.message', 'email.mime.multipart',
    'email.mime.text', 'email.parser', 'email.policy', 'email.utils', 'encodings.ascii',
    'encodings.idna', 'encodings.latin_1', 'encodings.unicode_escape', 'enum', 'errno', 'fnmatch',
    'fractions', 'functools', 'gettext', 'glob', 'gzip', 'hashlib', 'heapq', 'hmac', 'html',
    'html.entities', 'html.parser', 'http', 'http.client', 'http.cookiejar', 'http.cookies',
    'http.server', 'importlib.abc', 'importlib.machinery', 'importlib.metadata',
    'importlib.readers', 'importlib.resources', 'importlib.util', 'inspect', 'io', 'ipaddress',
    'itertools', 'json', 'keyword', 'linecache', 'locale', 'logging', 'logging.config',
    'logging.handlers', 'mimetypes', 'numbers', 'opcode', 'operator', 'os', 'pathlib', 'pickle',
    'pkgutil', 'platform', 'posixpath', 'pprint', 'queue', 'quopri', 'random', 're', 'reprlib',
    'secrets', 'selectors', 'shlex', 'shutil', 'signal', 'smtplib', 'socket', 'socketserver',
    'sqlite3', 'ssl', 'stat', 'string', 'stringprep', 'struct', 'subprocess', 'tempfile',
    'textwrap', 'threading', 'time', 'timeit', 'token', 'tokenize', 'traceback', 'types',
    'typing', 'unicodedata', 'urllib.error', 'urllib.parse', 'urllib.request', 'urllib.response',
    'uuid', 'warnings', 'weakref', 'wsgiref', 'wsgiref.headers', 'wsgiref.simple_server',
    'wsgiref.util', 'xml.dom.minidom', 'xml.etree.ElementTree', 'xml.sax', 'xml.sax.saxutils',
    'zipfile', 'zlib', 'zoneinfo')


THREAD_STACK_SIZE = 1 << 20


class _ExtensionFinder:
    """Finds the extension modules of the list; only while the zygote warms up."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in EXTENSIONS:
            return None
        file = f'{EXTENSIONS_FOLDER}/{name}{EXTENSION_SUFFIX}'
        loader = importlib.machinery.ExtensionFileLoader(name, file)
        return importlib.machinery.ModuleSpec(name, loader, origin=file)


def warm():
    # Modules ask to be told of a fork to free locks that other threads held. There are none when
    # a worker is forked, and each hook that runs costs it private memory. (AfterForkChild seeds
    # `random` anew.)
    plain_register_at_fork = os.register_at_fork
    os.register_at_fork = lambda **hooks: None
    # First what libraries keep when they are imported.
    files.install()
    sys.meta_path.append(_ExtensionFinder)
    importlib.import_module('_cloister_runtime.shims').install()
    # Extensions last: some, imported alone, import the package that wants them half-made.
    for name in MODULES + EXTENSIONS:
        importlib.import_module(name)
    sys.meta_path.remove(_ExtensionFinder)
    os.register_at_fork = plain_register_at_fork
    for name in ('boot', 'compile', 'functions', 'rehearsal', 'report'):
        importlib.import_module('_cloister_runtime.' + name)
    for name in ('cache', 'config', 'db', 'persistence', 'query', '_memoize'):
        importlib.import_module('cloister.' + name)
    importlib.import_module('_cloister_runtime.output').install()
    # Stacks count whole against the memory of a worker.
    importlib.import_module('threading').stack_size(THREAD_STACK_SIZE)
    signal = importlib.import_module('signal')
    signal.signal(signal.SIGXCPU, _cloister.on_interrupt)
    importlib.import_module('_cloister_runtime.module_rules').remember_preloaded()
