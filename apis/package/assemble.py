"""The `cloister` package that apps import, put together from the folders of apis/.

    apis/package/cloister/**.py   the package itself
    apis/NAME/client.py           cloister/NAME.py, the API as apps see it
    apis/NAME/local.py            cloister/_local/NAME.py, its stand-in on a developer's machine

As a program: assemble.py APIS_FOLDER OUTPUT_FOLDER VERSION, for developers' machines.
"""

import enum
import os
import shutil
import sys


class Target(enum.Enum):
    WORKER = 'a worker'
    DEVELOPER = "a developer's machine"


# Of no use in a worker.
_DEVELOPER_ONLY = ('cloister/_local/', 'cloister/dev/', 'cloister/testing.py')


def _all_files(apis_folder):
    package = os.path.join(apis_folder, 'package')
    for folder, folders, names in os.walk(os.path.join(package, 'cloister')):
        folders[:] = sorted(name for name in folders if name != '__pycache__')
        for name in sorted(names):
            if name.endswith(('.py', '.pyi', '.typed')):
                path = os.path.join(folder, name)
                yield os.path.relpath(path, package), path
    for name in sorted(os.listdir(apis_folder)):
        for part, place in (('client.py', f'cloister/{name}.py'),
                            ('local.py', f'cloister/_local/{name}.py')):
            path = os.path.join(apis_folder, name, part)
            if os.path.isfile(path):
                yield place, path


def package_files(apis_folder, target):
    """Yields (path below the import root, file it is a copy of)."""
    for place, path in _all_files(apis_folder):
        if target is Target.DEVELOPER or (place.endswith('.py')
                                          and not place.startswith(_DEVELOPER_ONLY)):
            yield place, path


def main():
    apis_folder, output, version = sys.argv[1:]
    shutil.rmtree(os.path.join(output, 'cloister'), ignore_errors=True)
    for place, path in package_files(apis_folder, Target.DEVELOPER):
        target = os.path.join(output, place)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(path, target)
    with open(os.path.join(output, 'cloister/_local/version.py'), 'w') as file:
        file.write(f'"""Which Cloister this is of."""\n\nVERSION = {version!r}\n')


if __name__ == '__main__':
    main()
