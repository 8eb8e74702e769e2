"""Includes run one way: apis <- sandbox <- config <- daemon, and one way inside each of them."""

import pathlib

import source_tree as tree

# Each folder may include from itself and from those before it.
LINE = ["apis", "sandbox", "config", "daemon"]
INNER_LINES = {
    "apis": [
        "base",
        "wire",
        "backends",
        "quota",
        "",
        "entrypoint",
        "config",
        "cache",
        "persistence",
        "logging",
        "query",
    ],
    "sandbox": ["exceptions", "steps", "image", "", "worker", "zygote", "query"],
    "daemon": [
        "loop",
        "http",
        "logs",
        "calls",
        "objects",
        "workers",
        "statics",
        "router",
        "store",
        "releases",
        "admin",
        "node",
    ],
}
# Plain words that every folder beside them may use.
WORDS = {"sandbox/limits.h"} | {
    f"apis/{api}/quota.h"
    for api in ("cache", "config", "entrypoint", "logging", "persistence", "query")
}
# Beside the line of daemon: they include nothing of daemon but their own folder.
APART = {"daemon/keeper", "daemon/cli"}


def place(path):
    """The top folder and the folder below it ("" for a file right in the top folder)."""
    parts = pathlib.PurePath(path).parts
    return parts[0], parts[1] if len(parts) > 2 else ""


def may_include(path, included):
    top, inner = place(path)
    included_top, included_inner = place(included)
    if top != included_top:
        return included_top in LINE[: LINE.index(top)]
    if inner == included_inner or included in WORDS:
        return True
    if f"{top}/{inner}" in APART or f"{top}/{included_inner}" in APART:
        return False
    line = INNER_LINES.get(top, [])
    if inner not in line or included_inner not in line:
        return False
    return line.index(included_inner) < line.index(inner)


def test_includes_run_leftwards():
    wrong = [
        f"{path} includes {name}"
        for path in tree.code_files()
        for quoted, name in tree.includes(path)
        if quoted and not may_include(path, name)
    ]
    assert not wrong


def test_the_rule_tells_right_from_wrong():
    assert may_include("daemon/http/parser.cc", "daemon/loop/stream.h")
    assert may_include("daemon/cli/main.cc", "config/settings.h")
    assert may_include("sandbox/confine.cc", "sandbox/steps/seccomp.h")
    assert not may_include("daemon/loop/stream.cc", "daemon/http/parser.h")
    assert not may_include("daemon/cli/main.cc", "daemon/http/message.h")
    assert not may_include("daemon/node/node.cc", "daemon/keeper/keeper.h")
    assert not may_include("apis/wire/frame.h", "sandbox/limits.h")
    assert not may_include("sandbox/steps/seccomp.cc", "sandbox/confine.h")


def test_quoted_includes_name_files_from_the_root():
    wrong = [
        f"{path} includes {name}"
        for path in tree.files(".h", ".cc", below=(*tree.CODE_FOLDERS, "tests"))
        for quoted, name in tree.includes(path)
        if quoted and not (tree.ROOT / name).is_file() and not is_generated(name)
    ]
    assert not wrong


def is_generated(name):
    """Whether the build writes this file, from a rule in the folder that it is named after."""
    path = pathlib.PurePath(name)
    return f"/generated/{name}" in tree.text_of(path.parent / "CMakeLists.txt")


def test_a_source_includes_its_own_header_first():
    wrong = []
    for path in tree.code_files(".cc"):
        own = path.with_suffix(".h")
        names = [name for _, name in tree.includes(path)]
        if (tree.ROOT / own).is_file() and names[:1] != [str(own)]:
            wrong.append(f"{path} includes {names[:1]} first")
    assert not wrong


def test_every_folder_of_daemon_has_its_place():
    known = {f"daemon/{name}" for name in INNER_LINES["daemon"]} | APART | {"daemon"}
    unknown = {str(path.parent) for path in tree.code_files() if path.parts[0] == "daemon"} - known
    assert not unknown
