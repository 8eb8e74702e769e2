"""The files of the repository, as the tests of this folder see them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("apis", "sandbox", "config", "daemon")
_NOT_OURS = {"build", ".git", ".cache", "__pycache__", ".pytest_cache"}
_INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def files(*suffixes, below=(".",)):
    """Paths relative to ROOT of all our files with one of the suffixes (all when none is given)."""
    found = []
    for start in below:
        found += _walk(ROOT / start, suffixes)
    return sorted(found)


def _walk(folder, suffixes):
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name in _NOT_OURS:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry, suffixes)
        elif entry.is_file() and (not suffixes or entry.suffix in suffixes):
            yield entry.relative_to(ROOT)


def text_of(path):
    """The text of a file; empty when it is absent or not UTF-8."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def code_files(*suffixes):
    return files(*(suffixes or (".h", ".cc")), below=CODE_FOLDERS)


def includes(path):
    """Pairs (is it "quoted", name) in the order of the file."""
    return [(mark == '"', name) for mark, name in _INCLUDE.findall(text_of(path))]


def stem(path):
    """`daemon/http/parser` for both files of that pair."""
    return str(pathlib.PurePath(path).with_suffix(""))
