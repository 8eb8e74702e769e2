"""Makes the platform's image: make_image.py OUTPUT PLATFORM_FOLDER APIS_FOLDER

Runs with the Python that the zygote embeds (Debian's, -I -S). The layout of the file is that of
sandbox/image/image.h; paths in it are absolute ones without the leading '/'.
"""

import marshal
import os
import struct
import sys

STANDARD_LIBRARY = '/usr/lib/python3.11'
ZONE_INFO = '/usr/share/zoneinfo'
RUNTIME = '/usr/lib/cloister/python'
VERSION_PATH = '/usr/lib/cloister/platform-version'
NAMES_PATH = '/usr/lib/cloister/module-names'

# Nothing that a worker could use: tests, graphical programs, installers, compiled files.
LEFT_OUT = {
    '__pycache__', 'test', 'tests', 'idlelib', 'idle_test', 'lib2to3', 'tkinter', 'turtledemo',
    'ensurepip', 'venv', 'pydoc_data', 'lib-dynload', 'dist-packages', 'site-packages', 'turtle.py',
}
# Zone data in other forms than the one that Python reads.
ZONES_LEFT_OUT = {'posix', 'right'}

MAGIC = b'CLOIMG01'
HEADER_SIZE = 64
RELEASE_TIME = 315532800


def walk(root, left_out):
    """Yields the paths of all files below root, relative, without what is left out."""
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders
                            if name not in left_out and not name.startswith('config-'))
        for name in sorted(files):
            if name not in left_out:
                yield os.path.relpath(os.path.join(folder, name), root)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def compiled(source, shown_as):
    return marshal.dumps(compile(source, shown_as, 'exec', dont_inherit=True, optimize=0))


def python_files(root, shown_root):
    """Yields (path in the image, source, code) of each module below root."""
    for relative in walk(root, LEFT_OUT):
        if relative.endswith('.py'):
            source = read(os.path.join(root, relative))
            path = f'{shown_root}/{relative}'
            yield path, source, compiled(source, path)


def package_files(apis_folder):
    """What apps import: the package, with the worker side of each API in it."""
    sys.path.insert(0, os.path.join(apis_folder, 'package'))
    import assemble
    for relative, file in assemble.package_files(apis_folder, assemble.Target.WORKER):
        source, path = read(file), f'{RUNTIME}/{relative}'
        yield path, source, compiled(source, path)


def zone_files():
    if not os.path.isdir(ZONE_INFO):
        return
    for relative in walk(ZONE_INFO, ZONES_LEFT_OUT):
        yield f'{ZONE_INFO}/{relative}', read(os.path.join(ZONE_INFO, relative)), b''


def aligned(data):
    return data + bytes(-len(data) % 8)


def image_of(files):
    """The bytes of an image; files are (path, contents, code)."""
    files = sorted((path.encode().lstrip(b'/'), contents, code) for path, contents, code in files)
    names = b''.join(path for path, _, _ in files)
    names_offset = HEADER_SIZE + 48 * len(files)
    offset = names_offset + len(names)
    offset += -offset % 8
    entries, data, name_offset = [], [], 0
    for path, contents, code in files:
        code_offset = offset + len(aligned(contents))
        entries.append(struct.pack('<QIIQQQQ', name_offset, len(path), 0, offset, len(contents),
                                   code_offset, len(code)))
        name_offset += len(path)
        offset = code_offset + len(aligned(code))
        data += (aligned(contents), aligned(code))
    header = struct.pack('<8sIIQQQQQQ', MAGIC, len(files), 0, HEADER_SIZE, names_offset,
                         len(names), offset, RELEASE_TIME, 0)
    return aligned(header + b''.join(entries) + names) + b''.join(data)


def main():
    output, platform_folder, apis_folder = sys.argv[1:]
    files = list(python_files(STANDARD_LIBRARY, STANDARD_LIBRARY))
    files += python_files(os.path.join(platform_folder, '_cloister_runtime'),
                          f'{RUNTIME}/_cloister_runtime')
    files += package_files(apis_folder)
    files += zone_files()
    files.append((VERSION_PATH, '{}.{}.{}'.format(*sys.version_info[:3]).encode(), b''))
    files.append((NAMES_PATH, '\n'.join(sorted(sys.stdlib_module_names)).encode(), b''))
    image = image_of(files)
    with open(output + '.new', 'wb') as file:
        file.write(image)
    os.replace(output + '.new', output)
    print(f'{output}: {len(files)} files, {len(image)} bytes')


main()
