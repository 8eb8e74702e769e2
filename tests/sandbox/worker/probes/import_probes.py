"""Imports, resources and sources; time, place and identity."""

import sys

from expect import raises, yields


# --- importing, resources, source


@yields(('inner value', '/app/package/inner.py'))
def import_package():
    from package import inner
    return inner.VALUE, inner.__file__


@yields(['beside', 'inner'])
def pkgutil_iter():
    import pkgutil, package
    return [m.name for m in pkgutil.iter_modules(package.__path__)]


@yields(True)
def pkgutil_walk_stdlib():
    import pkgutil, json
    return {'decoder', 'encoder'} <= {m.name for m in pkgutil.iter_modules(json.__path__)}


@yields(b"VALUE = 'inner value'\n")
def pkgutil_get_data():
    import pkgutil
    return pkgutil.get_data('package', 'inner.py')[:22]


@yields(("VALUE = 'inner value'", True))
def importlib_resources():
    import importlib.resources as r
    f = r.files('package').joinpath('inner.py')
    with r.as_file(f) as path:
        return f.read_text().split('\n')[0], path.exists()


@yields(True)
def importlib_resources_legacy():
    import importlib.resources as r
    return r.is_resource('package', 'inner.py') and 'VALUE' in r.read_text('package', 'inner.py')


@yields(('1.5', ['Probe-Dist'], 'app = hello:application'))
def metadata():
    import importlib.metadata as m
    entry = [e for e in m.entry_points(group='probe')][0]
    return m.version('probe-dist'), [d.metadata['Name'] for d in m.distributions()], \
        f'{entry.name} = {entry.value}'


@raises('PackageNotFoundError: No package metadata was found for absent')
def metadata_absent():
    import importlib.metadata as m
    return m.version('absent')


@yields("def function(x):\n    return x + 1\n")
def inspect_getsource():
    import inspect
    from package import inner
    return inspect.getsource(inner.function)


@yields(('/app/package/inner.py', True))
def inspect_module():
    import inspect
    from package import inner
    return inspect.getsourcefile(inner), 'VALUE' in inspect.getsource(inner)


@yields(True)
def inspect_stdlib():
    import inspect, json
    return inspect.getsource(json.dumps).startswith('def dumps(')


@yields("VALUE = 'inner value'\n")
def linecache_by_traceback_name():
    import linecache
    from package import inner
    return linecache.getline(inner.function.__code__.co_filename, 1)


@yields((True, True))
def traceback_source():
    import traceback
    from package import inner
    try: inner.function(None)
    except TypeError: text = traceback.format_exc()
    return 'return x + 1' in text, '"hello@1.2.0/package/inner.py", line 3' in text


@yields('namespace value')
def namespace_package():
    import spaces.one
    return spaces.one.VALUE


@yields('added to sys.path')
def sys_path_insert():
    sys.path.insert(0, '/app/data/../package')
    try:
        import beside
        return beside.VALUE
    finally: sys.path.pop(0)


@raises("ModuleNotFoundError: No module named '_ctypes'")
def ctypes_(): import ctypes


@raises('ModuleNotFoundError')
def tkinter_(): import tkinter


@yields(True)
def import_rest_of_stdlib():
    import aifc, ast, bdb, cmd, cProfile, dis, doctest, filecmp, fileinput, ftplib, imaplib  # noqa
    import mailbox, modulefinder, netrc, optparse, pdb, plistlib, poplib, pstats, pyclbr  # noqa
    import runpy, sched, sndhdr, statistics, symtable, tabnanny, tarfile, telnetlib, trace  # noqa
    import tomllib, unittest.mock, uu, wave, xmlrpc.client, zipapp, zipimport, graphlib  # noqa
    return True


# --- time, place, identity


@yields('2:00:00')
def zoneinfo_paris():
    import datetime, zoneinfo
    return str(datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Paris')).utcoffset())


@yields((True, True))
def zoneinfo_available():
    import zoneinfo
    zones = zoneinfo.available_timezones()
    return len(zones) > 400, 'America/New_York' in zones


@raises('ZoneInfoNotFoundError')
def zoneinfo_absent():
    import zoneinfo
    return zoneinfo.ZoneInfo('Moon/Crater')


@yields(('UTC', 0))
def localtime():
    import time
    return time.localtime().tm_zone, time.timezone


@yields((('CET', 'CEST'), 14, ('UTC', 'UTC')))
def tzset():
    import os, time
    os.environ['TZ'] = 'Europe/Paris'; time.tzset()
    names, hour = time.tzname, time.localtime(1719835200).tm_hour
    os.environ['TZ'] = 'UTC0'; time.tzset()
    return names, hour, time.tzname


@yields('C.UTF-8')
def locale_set():
    import locale
    try: return locale.setlocale(locale.LC_ALL, '').split(';')[0].removeprefix('LC_CTYPE=')
    finally: locale.setlocale(locale.LC_ALL, 'C')


@yields('utf-8')
def preferred_encoding():
    import locale
    return locale.getpreferredencoding().lower()


@yields(('Linux', 'cloister', 'cloister', 'cloister'))
def uname():
    import os, platform, socket
    return os.uname().sysname, os.uname().nodename, platform.node(), socket.gethostname()


@yields(True)
def platform_():
    import platform
    return platform.platform().startswith('Linux-0-x86_64')


@yields((1, {0}, 1000, 1000, 'app', 'app', '/app', '/app/x'))
def identity():
    import getpass, os, pathlib, pwd
    return (os.cpu_count(), os.sched_getaffinity(0), os.getuid(), os.getegid(), os.getlogin(),
            getpass.getuser(), str(pathlib.Path.home()), os.path.expanduser('~/x'))


@yields('app')
def pwd_lookup():
    import os, pwd
    return pwd.getpwuid(os.getuid()).pw_name


@raises('KeyError')
def pwd_absent():
    import pwd
    return pwd.getpwnam('root')


@yields((True, (0, 0), True))
def resources():
    import os, resource
    return (resource.getrusage(resource.RUSAGE_SELF).ru_utime >= 0,
            resource.getrlimit(resource.RLIMIT_NOFILE), 0 <= os.times().user < 1000)


@raises('PermissionError: [Errno 1] the limits of a worker are set in cloister.toml')
def setrlimit():
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@yields(['HOME', 'LANG', 'LOGNAME', 'TMPDIR', 'TZ', 'USER'])
def environment():
    import os
    return sorted(os.environ)


@yields((None, (80, 24)))
def shutil_():
    import shutil
    return shutil.which('ls'), tuple(shutil.get_terminal_size())
