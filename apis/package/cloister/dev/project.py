"""What the server is told: the folder of an app, its cloister.toml, its config for development."""

from __future__ import annotations

import dataclasses
import os
import re

_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,127}\Z')
_DURATION = re.compile(r'(\d+)(ms|s|min|h|d)\Z')
_SECONDS = {'ms': 0.001, 's': 1, 'min': 60, 'h': 3600, 'd': 86400}
# What a node takes as no key of config, either.
_RESERVED = ('HOME', 'LANG', 'LANGUAGE', 'PATH', 'TZ')
_RESERVED_BEGINS = ('CLOISTER_', 'LC_', 'LD_', 'PYTHON')
CONFIG_FILE = '.cloister.env'


# As of `cloister`; docs/errors.md has the codes.
EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED = 1, 2, 3
_EXITS = {'usage': EXIT_USAGE, 'config_invalid': EXIT_USAGE, 'file_unreadable': EXIT_FAILED,
          'listen_failed': EXIT_FAILED}


class BadInput(Exception):
    """What was asked for cannot be done: for the person who asked, in the words of `cloister`."""

    def __init__(self, code, text, advice=''):
        super().__init__(text)
        self.code = code
        self.advice = advice
        self.exit_code = _EXITS.get(code, EXIT_REFUSED)

    def __str__(self):
        help_line = f'\nhelp: {self.advice}' if self.advice else ''
        return f'error[{self.code}]: {self.args[0]}{help_line}'


@dataclasses.dataclass
class Static:
    path: str    # in requests; ends in '/' for a folder
    target: str  # below the project's folder
    max_age: int | None = None


@dataclasses.dataclass
class Check:
    path: str
    method: str = 'GET'
    headers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    body: str = ''
    status: int | None = 200  # None: anything below 500
    contains: str = ''
    matches: str = ''
    seconds: float = 5.0


@dataclasses.dataclass
class Project:
    folder: str
    entry: str = ''
    release_entry: str = ''
    name: str = 'app'
    version: str = 'dev'
    wall_seconds: float = 30.0
    static: list[Static] = dataclasses.field(default_factory=list)
    checks: list[Check] = dataclasses.field(default_factory=list)
    required: list[str] = dataclasses.field(default_factory=list)
    config: dict[str, str] = dataclasses.field(default_factory=dict)


def _load_toml(path):
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib
        except ImportError:
            raise BadInput('python_failed', f'{path} cannot be read by this Python',
                           'use 3.11, or install tomli') from None
    try:
        with open(path, 'rb') as file:
            return tomllib.load(file)
    except OSError as error:
        raise BadInput('file_unreadable', f'{path}: {error.strerror or error}') from None
    except ValueError as error:
        raise _wrong_manifest(f'{path}: {error}') from None


def _wrong_manifest(text):
    return BadInput('manifest_invalid', text, 'docs/manifest.md describes every key')


class _Table:
    """A table of the manifest, which says what is wrong with a value."""

    def __init__(self, path, name, values):
        self._where = f'{path}: [{name}]'
        if not isinstance(values, dict):
            raise _wrong_manifest(f'{self._where} must be a table')
        self._values = values

    def get(self, key, kind, default):
        value = self._values.get(key, default)
        if value is not default and (type(value) is not kind):
            raise _wrong_manifest(f'{self._where} {key} must be of type {kind.__name__}, '
                                  f'not {value!r}')
        return value

    def texts(self, key):
        values = self.get(key, list, [])
        if not all(isinstance(value, str) for value in values):
            raise _wrong_manifest(f'{self._where} {key} must be a list of texts')
        return values

    def seconds(self, key, default):
        text = self.get(key, str, None)
        return default if text is None else self._seconds_of(key, text)

    def _seconds_of(self, key, text):
        match = _DURATION.match(text)
        if not match:
            raise _wrong_manifest(
                f'{self._where} {key} must be a duration with its unit, such as "30s"')
        return int(match[1]) * _SECONDS[match[2]]


def _static_of(path, rows):
    for place, value in rows.items():
        row = _Table(path, f'static] "{place}" [', value if isinstance(value, dict) else {})
        target = value if isinstance(value, str) else row.get('folder', str, None) or \
            row.get('file', str, None)
        if not place.startswith('/') or not target:
            raise _wrong_manifest(f'{path}: [static] "{place}" must lead from a path to a folder '
                                  'or file')
        age = row.seconds('cache', None)
        yield Static(place, target, None if age is None else int(age))


def _check_of(path, values):
    row = _Table(path, '[check]', values)
    headers = []
    for header in row.texts('headers'):
        name, colon, value = header.partition(':')
        if not colon or not name.strip():
            raise _wrong_manifest(f'{path}: [[check]] headers are "Name: value", not {header!r}')
        headers.append((name.strip(), value.strip()))
    target = row.get('path', str, '')
    if not target.startswith('/'):
        raise _wrong_manifest(f"{path}: [[check]] path must begin with '/'")
    pattern = row.get('matches', str, '')
    try:
        re.compile(pattern)
    except re.error as error:
        raise _wrong_manifest(f'{path}: [[check]] matches is no pattern: {error}') from None
    return Check(target, row.get('method', str, 'GET'), headers, row.get('body', str, ''),
                 row.get('status', int, 200), row.get('contains', str, ''), pattern,
                 row.seconds('time', 5.0))


def _read_manifest(project, path):
    values = _load_toml(path)

    def table(name):
        return _Table(path, name, values.get(name, {}))

    project.name = table('app').get('name', str, project.name)
    project.version = table('app').get('version', str, project.version)
    project.entry = table('entry').get('web', str, '')
    project.release_entry = table('entry').get('release', str, '')
    project.wall_seconds = table('limits').seconds('wall', project.wall_seconds)
    project.required = table('config').texts('required')
    static, checks = values.get('static', {}), values.get('check', [])
    if not isinstance(static, dict) or not isinstance(checks, list):
        raise _wrong_manifest(f'{path}: [static] is a table, and checks are [[check]]')
    project.static = list(_static_of(path, static))
    project.checks = [_check_of(path, each) for each in checks]


def _unquoted(text):
    if len(text) >= 2 and text[0] == text[-1] and text[0] in '"\'':
        return text[1:-1]
    return text


def read_config(path):
    """Lines NAME=VALUE; empty ones and those that begin with # count for nothing."""
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise BadInput('file_unreadable', f'{path}: {error.strerror or error}') from None
    except UnicodeDecodeError as error:
        raise BadInput('config_invalid', f'{path}: {error}') from None
    values = {}
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        name, equals, value = line.partition('=')
        name = name.strip()
        if name.startswith('export '):
            name = name[len('export '):].strip()
        if not equals or not _NAME.match(name):
            raise BadInput('config_invalid', f'{path}:{number}: a line is NAME=VALUE, not {line!r}')
        if name in _RESERVED or name.startswith(_RESERVED_BEGINS):
            raise BadInput('config_invalid', f'{path}:{number}: {name} cannot be a key: a worker '
                           'reads it from its own environment')
        if name in values:
            raise BadInput('config_invalid', f'{path}:{number}: {name} is there twice')
        values[name] = _unquoted(value.strip())
    return values


def read(folder, entry, config_file):
    """The project of a folder; `entry` and `config_file` may be empty. BadInput: what is wrong."""
    if not os.path.isdir(folder):
        raise BadInput('usage', f'{folder} is no folder', 'name the folder with cloister.toml')
    project = Project(os.path.abspath(folder))
    manifest = os.path.join(folder, 'cloister.toml')
    if os.path.exists(manifest):
        _read_manifest(project, manifest)
    elif not entry:
        raise BadInput('manifest_missing', f'there is no {manifest}',
                       'say MODULE:CALLABLE, or make one with `cloister init`')
    project.entry = entry or project.entry
    if not re.match(r'[^:\s]+(:[^:\s]+)?\Z', project.entry):
        raise BadInput('usage' if entry else 'manifest_invalid',
                       'which callable serves the app is MODULE:CALLABLE, such as '
                       f'app:application, not {project.entry!r}')
    default = os.path.join(folder, CONFIG_FILE)
    if config_file or os.path.exists(default):
        project.config = read_config(config_file or default)
    missing = [name for name in project.required if name not in project.config]
    if missing:
        raise BadInput('config_missing',
                       f'[config] required in cloister.toml wants {", ".join(missing)}',
                       f'put {missing[0]}=... into {config_file or default}')
    return project
