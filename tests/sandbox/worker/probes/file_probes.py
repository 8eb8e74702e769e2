"""The tree of files, temporary files and descriptors."""

import sys

from expect import DESCRIPTOR_TEXT, FILE_TEXT, raises, yields


# --- temporary files


@yields((b'abc', True, False))
def tempfile_named():
    import os, tempfile
    with tempfile.NamedTemporaryFile() as f:
        f.write(b'abc'); f.flush()
        name = f.name
        content = open(name, 'rb').read()
        existed = os.path.exists(name)
    return content, existed, os.path.exists(name)


@yields('two\n')
def tempfile_anonymous():
    import tempfile
    with tempfile.TemporaryFile('w+') as f:
        f.write('one\ntwo\n'); f.seek(0); f.readline()
        return f.readline()


@yields(b'x' * 50)
def tempfile_spooled_rolls_over():
    import tempfile
    f = tempfile.SpooledTemporaryFile(max_size=10)
    f.write(b'x' * 50); f.seek(0)
    return f.read()


@yields((['a', 'b'], False))
def tempfile_directory():
    import os, pathlib, tempfile
    with tempfile.TemporaryDirectory() as d:
        (pathlib.Path(d) / 'a').write_text('1')
        os.makedirs(os.path.join(d, 'b', 'c'))
        names = sorted(os.listdir(d))
    return names, os.path.exists(d)


@yields(b'written')
def tempfile_mkstemp():
    import os, tempfile
    fd, path = tempfile.mkstemp()
    os.write(fd, b'writ'); os.close(fd)
    with open(path, 'ab') as f: f.write(b'ten')
    with open(path, 'rb') as f: data = f.read()
    os.unlink(path)
    return data


@yields('through fdopen')
def tempfile_fdopen():
    import os, tempfile
    fd, path = tempfile.mkstemp()
    with os.fdopen(fd, 'w') as f: f.write('through fdopen')
    return open(path).read()


@yields((4, b'ab\0\0', 2, b'Xb'))
def file_seek_truncate():
    with open('/tmp/seek', 'w+b') as f:
        f.write(b'ab'); f.truncate(4); f.seek(0)
        all_of_it = f.read()
        f.seek(0); f.write(b'X'); f.truncate(2); f.seek(0)
        return len(all_of_it), all_of_it, f.seek(0, 2), (f.seek(0), f.read())[1]


@yields(('old', 'new'))
def file_replace():
    import os
    open('/tmp/r1', 'w').write('new'); open('/tmp/r2', 'w').write('old')
    before = open('/tmp/r2').read()
    os.replace('/tmp/r1', '/tmp/r2')
    return before, open('/tmp/r2').read()


@raises('OSError: [Errno 28] temporary files may hold')
def tempfile_quota():
    import tempfile
    with tempfile.TemporaryFile() as f:
        while True: f.write(b'x' * 1000000)


@yields(True)
def tempfile_quota_is_given_back():
    import tempfile
    for _ in range(8):
        with tempfile.TemporaryFile() as f: f.write(b'x' * 10_000_000)
    return True


@yields(['data'])
def zip_in_scratch():
    import zipfile
    with zipfile.ZipFile('/tmp/z.zip', 'w') as z: z.writestr('data', b'1' * 1000)
    with zipfile.ZipFile('/tmp/z.zip') as z: return z.namelist()


@yields([('k', [1, 2])])
def shelve_in_scratch():
    import shelve, dbm.dumb
    with shelve.Shelf(dbm.dumb.open('/tmp/shelf')) as s:
        s['k'] = [1, 2]
    with shelve.Shelf(dbm.dumb.open('/tmp/shelf')) as s:
        return list(s.items())


@yields(0o022)
def umask():
    import os
    return os.umask(0)


@yields(['probe_data.txt'])
def shutil_copytree():
    import os, shutil
    shutil.copytree('/app/data', '/tmp/copied')
    names = os.listdir('/tmp/copied')
    shutil.rmtree('/tmp/copied')
    return names


# --- the tree of files


@yields(('/app', b'/app'))
def getcwd():
    import os
    return os.getcwd(), os.getcwdb()


@yields('some data\n')
def open_app_file():
    return open('/app/data/probe_data.txt').read()


@yields('some data\n')
def open_relative():
    return open('data/probe_data.txt').read()


@yields(b'some')
def open_unbuffered():
    with open('data/probe_data.txt', 'rb', buffering=0) as f: return f.read(4)


@yields(['some data\n'])
def read_lines():
    import pathlib
    path = pathlib.Path(__file__).parent / 'data' / 'probe_data.txt'
    with path.open() as f: return list(f)


@yields((True, True, False, 10))
def paths():
    import os
    p = '/app/data/probe_data.txt'
    return (os.path.isfile(p), os.path.isdir('/app/data'), os.path.islink(p),
            os.path.getsize(p))


@yields((0o100444, 10, True))
def stat_fields():
    import os
    s = os.stat('/app/data/probe_data.txt')
    return s.st_mode, s.st_size, s.st_mtime >= 315532800


@yields((True, False, False, False))
def access():
    import os
    p = '/app/data/probe_data.txt'
    return os.access(p, os.R_OK), os.access(p, os.W_OK), os.access(p, os.X_OK), os.access('/no', 0)


@yields(['data', 'package', 'site-packages'])
def listdir():
    import os
    return sorted(name for name in os.listdir('/app') if '.' not in name)


@yields(['app', 'tmp', 'usr'])
def list_root():
    import os
    return sorted(os.listdir('/'))


@yields([('/app/data', [], ['probe_data.txt'])])
def walk():
    import os
    return list(os.walk('/app/data'))


@yields([('probe_data.txt', True, False, 10)])
def scandir():
    import os
    with os.scandir('/app/data') as entries:
        return [(e.name, e.is_file(), e.is_dir(), e.stat().st_size) for e in entries]


@yields((['/app/data/probe_data.txt'], ['package/__init__.py', 'package/beside.py',
                                      'package/inner.py']))
def globs():
    import glob, pathlib
    return glob.glob('/app/data/*'), sorted(
        str(p.relative_to('/app')) for p in pathlib.Path('/app').glob('package/*.py'))


@yields(('/app/data', True, False))
def pathlib_():
    import pathlib
    p = pathlib.Path('data')
    return str(p.resolve()), p.exists(), pathlib.Path('/nope/x').exists()


@raises("FileNotFoundError: [Errno 2] No such file or directory: '/etc/passwd'")
def open_missing():
    return open('/etc/passwd')


@raises('IsADirectoryError: [Errno 21]')
def open_directory():
    return open('/app/data')


@raises(FILE_TEXT)
def open_write():
    return open('out.txt', 'w')


@raises(FILE_TEXT)
def open_append_elsewhere():
    return open('/var/lib/x', 'a')


@raises(FILE_TEXT)
def pathlib_write():
    import pathlib
    pathlib.Path('x').write_text('y')


@raises(FILE_TEXT)
def mkdir():
    import os
    os.mkdir('/app/new')


@raises(FILE_TEXT)
def unlink():
    import os
    os.unlink('/app/hello.py')


@raises(FILE_TEXT)
def symlink():
    import os
    os.symlink('a', 'b')


@raises('FileNotFoundError')
def os_open_missing():
    import os
    return os.open('/etc/passwd', 0)


@yields((b'some', 10))
def os_open_app_file():
    import os
    fd = os.open('/app/data/probe_data.txt', os.O_RDONLY)
    try: return os.read(fd, 4), os.fstat(fd).st_size
    finally: os.close(fd)


@raises('ValueError: embedded null byte')
def null_in_path():
    return open('a\0b')


@yields((b'', 3))
def dev_null():
    return open('/dev/null', 'rb').read(), open('/dev/null', 'w').write('abc')


@yields((b'', 4))
def os_standard_descriptors():
    import os
    return os.read(0, 1), os.write(1, b'log\n')


@raises('OSError: [Errno 9] a worker has no file descriptors')
def os_write_channel():
    import os
    return os.write(3, b'garbage')


@raises('OSError: [Errno 9]')
def os_close_channel():
    import os
    os.close(3)


@raises(DESCRIPTOR_TEXT)
def os_dup():
    import os
    return os.dup(3)


@raises(DESCRIPTOR_TEXT)
def os_pipe():
    import os
    return os.pipe()


@raises('UnsupportedOperation: a worker has no file descriptors')
def stdout_fileno():
    return sys.stdout.fileno()


@raises('EOFError')
def input_():
    return input()
