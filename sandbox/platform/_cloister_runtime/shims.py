"""Answers where a worker has no operating system to ask, and errors that say what to use instead.

None of this is the wall: the kernel refuses all of it as well, with less to read.
"""

import faulthandler
import multiprocessing.process
import os
import posix
import pwd
import resource
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

import _multiprocessing
import _socket
from _cloister_runtime import eventloop, files
from _cloister_runtime.refusals import (NETWORK, PIPES, PROCESSES, SIGNALS, count, refused)

HOST_NAME = 'cloister'
USER, USER_ID = 'app', 1000
_ZONES = '/usr/share/zoneinfo'
_UNLIMITED = resource.RLIM_INFINITY


def _set_in_os(functions):
    for name, function in functions.items():
        for module in (os, posix):
            if hasattr(module, name):
                setattr(module, name, function)


# --- who and where


def _identity():
    uname = os.uname_result(('Linux', HOST_NAME, '0', 'cloister', 'x86_64'))
    password_row = pwd.struct_passwd((USER, 'x', USER_ID, USER_ID, '', '/app', '/bin/false'))

    def times():
        used = time.process_time()
        return os.times_result((used, 0.0, 0.0, 0.0, time.monotonic()))

    def by_id(uid):
        if uid != USER_ID:
            raise KeyError(f'getpwuid(): uid not found: {uid}')
        return password_row

    def by_name(name):
        if name != USER:
            raise KeyError(f'getpwnam(): name not found: {name!r}')
        return password_row

    _set_in_os({name: (lambda: USER_ID) for name in ('getuid', 'geteuid', 'getgid', 'getegid')})
    _set_in_os({'uname': lambda: uname, 'getlogin': lambda: USER, 'cpu_count': lambda: 1,
                'sched_getaffinity': lambda pid: {0}, 'times': times,
                'getloadavg': lambda: (0.0, 0.0, 0.0), 'getppid': lambda: 0,
                'getgroups': lambda: [USER_ID]})
    pwd.getpwuid, pwd.getpwnam, pwd.getpwall = by_id, by_name, lambda: [password_row]
    socket.gethostname = _socket.gethostname = lambda: HOST_NAME
    socket.getfqdn = lambda name='': name or HOST_NAME


def _resources():
    def getrusage(who):
        used = time.process_time()
        return resource.struct_rusage((used, 0.0) + (0,) * 14)

    def getrlimit(which):
        return (0, 0) if which == resource.RLIMIT_NOFILE else (_UNLIMITED, _UNLIMITED)

    def setrlimit(which, limits):
        raise refused('setrlimit', 'the limits of a worker are set in cloister.toml: [limits]')

    resource.getrusage, resource.getrlimit, resource.setrlimit = getrusage, getrlimit, setrlimit


# --- time zones


def _zone_rule(name):
    """The rule in POSIX form that ends a zone's file: what the C library needs without files."""
    node = files.find(f'{_ZONES}/{name}')
    if not isinstance(node, files.ImageFile):
        return None
    rule = node.read(0, node.size).rpartition(b'\n')[0].rpartition(b'\n')[2]
    return rule or None


def _time_zones():
    plain_tzset = time.tzset

    def tzset():
        name = os.environ.get('TZ', 'UTC0').lstrip(':')
        rule = _zone_rule(name) if '..' not in name else None
        posix.putenv(b'TZ', rule or name.encode())
        plain_tzset()

    time.tzset = tzset


# --- what a worker cannot do


def _refusing(name, message):
    def function(*args, **kwargs):
        raise refused(name, message)

    function.__name__ = name
    return function


def _processes():
    _set_in_os({name: _refusing(name, PROCESSES) for name in (
        'fork', 'forkpty', 'system', 'popen', 'execv', 'execve', 'execvp', 'execvpe', 'execl',
        'execle', 'execlp', 'execlpe', 'posix_spawn', 'posix_spawnp', 'spawnv', 'spawnve')})
    _set_in_os({name: _refusing(name, SIGNALS) for name in ('kill', 'killpg')})
    _set_in_os({name: _refusing(name, PIPES) for name in ('pipe', 'pipe2', 'eventfd', 'openpty',
                                                          'dup', 'dup2')})
    os.popen = _refusing('popen', PROCESSES)
    signal.raise_signal = _refusing('raise_signal', SIGNALS)
    signal.setitimer = _refusing('setitimer', 'a worker has no timers; use threading.Timer')
    subprocess.Popen.__init__ = _refusing('subprocess', PROCESSES)
    multiprocessing.process.BaseProcess.start = _refusing('multiprocessing', PROCESSES)

    class SemLock(_multiprocessing.SemLock):
        """Processes cannot be had, so neither can their locks."""

        def __new__(cls, *args, **kwargs):
            raise refused('multiprocessing', PROCESSES)

    _multiprocessing.SemLock = SemLock


def _network():
    def getaddrinfo(*args, **kwargs):
        count('getaddrinfo', NETWORK)
        raise socket.gaierror(socket.EAI_FAIL, NETWORK)

    socket.socket.__init__ = _refusing('socket', NETWORK)
    socket.socketpair = _socket.socketpair = _refusing('socketpair', NETWORK)
    for name in ('getaddrinfo', 'gethostbyname', 'gethostbyname_ex', 'gethostbyaddr',
                 'getnameinfo'):
        setattr(socket, name, getaddrinfo)
        setattr(_socket, name, getaddrinfo)


def _databases():
    plain_connect = sqlite3.connect

    def connect(database, *args, **kwargs):
        shown = os.fsdecode(database)
        if shown not in ('', ':memory:') and 'mode=memory' not in shown and \
                not shown.startswith('file::memory:'):
            count('sqlite_file', 'a worker has no database files')
            raise sqlite3.OperationalError(
                f"unable to open database file {shown!r}: a worker has no files; use ':memory:' "
                'for scratch, cloister query for data to keep')
        connection = plain_connect(database, *args, **kwargs)
        # Sorting would spill into a temporary file.
        sqlite3.Connection.execute(connection, 'PRAGMA temp_store=MEMORY').close()
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connect


def _temporary_files():
    tempfile.tempdir = '/tmp'
    tempfile._O_TMPFILE_WORKS = False


def install():
    _identity()
    _resources()
    _time_zones()
    _processes()
    _network()
    _databases()
    _temporary_files()
    eventloop.install()
    # It writes to a descriptor, which is not there; apps call it in passing.
    faulthandler.enable = faulthandler.register = lambda *args, **kwargs: None
