"""Writes the tables of apis/base/unicode.cc from Python's unicodedata.

python3.11 unicode_tables.py OUT
"""

import sys
import unicodedata

HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic


def main(path):
    decompositions, compositions, classes = [], [], []
    for code in range(0x110000):
        char = chr(code)
        combining = unicodedata.combining(char)
        if combining:
            classes.append((code, combining))
        decomposition = unicodedata.decomposition(char)
        if not decomposition or decomposition.startswith('<') or code in HANGUL:
            continue
        parts = [int(part, 16) for part in decomposition.split()]
        first, second = parts[0], parts[1] if len(parts) > 1 else 0
        decompositions.append((code, first, second))
        if second and unicodedata.normalize('NFC', char) == char:
            compositions.append((first, second, code))
    with open(path, 'w', encoding='ascii') as out:
        version = unicodedata.unidata_version
        out.write(f'// Unicode {version}; made by apis/base/unicode_tables.py.\n')
        for name, columns, rows in (('kDecompositions', 'Decomposition', decompositions),
                                    ('kCompositions', 'Composition', sorted(compositions)),
                                    ('kClasses', 'CombiningClass', classes)):
            out.write(f'constexpr {columns} {name}[] = {{\n')
            for row in rows:
                out.write('    {' + ', '.join(hex(number) for number in row) + '},\n')
            out.write('};\n')


main(sys.argv[1])
