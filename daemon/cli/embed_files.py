"""Compiles the files of `cloister init` in: embed_files.py OUTPUT TEMPLATES_FOLDER STUBS_FOLDER

A folder of templates is a kind of app, `all` is every one's; the stubs become typings/.
"""

import os
import sys

HEAD = """#include "daemon/cli/init_files.h"

namespace cloister {
namespace {

constexpr InitFile kFiles[] = {
"""
FOOT = """};

}  // namespace

std::span<const InitFile> InitFiles() {
  return kFiles;
}

}  // namespace cloister
"""
# A string of C++ has at most 64 KiB.
PIECE = 8000


def files_below(root):
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, encoding='utf-8') as file:
                yield os.path.relpath(path, root), file.read()


def literal(text):
    pieces = [text[begin:begin + PIECE] for begin in range(0, len(text), PIECE)] or ['']
    return '\n'.join(f'R"EMBEDDED({piece})EMBEDDED"' for piece in pieces)


def row(kind, path, text):
    return f'{{"{kind}", "{path}",\n{literal(text)}}},\n'


def main():
    output, templates, stubs = sys.argv[1:]
    with open(output, 'w', encoding='utf-8') as file:
        file.write(HEAD)
        for path, text in files_below(templates):
            kind, _, inner = path.partition('/')
            folder, name = os.path.split(inner)
            if name.startswith('dot-'):
                name = '.' + name[len('dot-'):]
            file.write(row(kind, os.path.join(folder, name), text))
        for path, text in files_below(stubs):
            file.write(row('all', 'typings/' + path, text))
        file.write(FOOT)


main()
