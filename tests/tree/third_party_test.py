"""Each borrowed library is known to one pair of files: what it is can be changed in one place."""

import re

import source_tree as tree

# Pattern of a header's name: the pair (without suffix), or the folder (with a slash), that may
# include it. A library with several places lists them.
PLACES = {
    r"uv\.h": ["daemon/loop/", "apis/backends/redis"],
    r"llhttp\.h": ["daemon/http/parser"],
    r"sqlite3\.h": ["apis/backends/sqlite", "sandbox/query/"],
    r"mysql\.h": ["apis/backends/mariadb", "sandbox/query/mariadb/connection"],
    r"libpq-fe\.h": ["apis/backends/postgresql", "sandbox/query/postgresql/connection"],
    r"histedit\.h": ["daemon/cli/line_editor"],
    r"curl/curl\.h": ["apis/backends/s3"],
    r"pcre2\.h": ["sandbox/query/regexp"],
    r"openssl/.*": ["apis/backends/mariadb", "apis/base/sha256", "sandbox/query/text_functions"],
    r"seccomp\.h": ["sandbox/steps/seccomp"],
    r"(Python|structmember|marshal)\.h": ["sandbox/worker/"],
    r"CLI/.*": [
        "daemon/cli/main",
        "daemon/cli/data_arguments",
        "daemon/cli/local_arguments",
        "daemon/cli/object_arguments",
        "daemon/cli/release_arguments",
    ],
    r"spdlog/.*": ["apis/base/log"],
    r"benchmark/.*": ["tests/bench/"],
    r"systemd/.*": ["daemon/logs/journal"],
}
# Slow to compile: only in sources, never in headers.
SOURCES_ONLY = {
    r"nlohmann/.*": ["apis/base/json", "daemon/releases/", "daemon/admin/", "daemon/cli/"]
}
# Known to one pair, wherever that is.
ONE_PAIR = [r"zstd.*\.h", r"sodium\.h", r"hiredis/.*"]
FREE = [r"fmt/.*"]
# The C++ standard library, C and POSIX, Linux.
SYSTEM = [
    r"[a-z_0-9]+",
    r"(sys|linux|netinet|arpa|net|asm)/[a-z0-9_]+\.h",
    r"(dirent|dlfcn|endian|errno|fcntl|grp|limits|link|locale|poll|pthread|pwd|sched|setjmp"
    r"|signal|spawn|stdlib|syscall|termios|time|ucontext|unistd|wait|netdb|elf|getopt|glob"
    r"|langinfo|malloc|strings|syslog)\.h",
]


def matches(name, patterns):
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def is_in(path, places):
    return any(
        str(path).startswith(place) if place.endswith("/") else tree.stem(path) == place
        for place in places
    )


def angled_includes():
    for path in tree.code_files():
        for quoted, name in tree.includes(path):
            if not quoted:
                yield path, name


def test_a_library_is_included_where_it_belongs():
    wrong = []
    for path, name in angled_includes():
        for pattern, places in {**PLACES, **SOURCES_ONLY}.items():
            if re.fullmatch(pattern, name) and not is_in(path, places):
                wrong.append(f"{path} includes {name}, which belongs to {', '.join(places)}")
    assert not wrong


def test_slow_headers_stay_out_of_headers():
    wrong = [
        f"{path} includes {name}"
        for path, name in angled_includes()
        if path.suffix == ".h" and matches(name, SOURCES_ONLY) and "_fwd" not in name
    ]
    assert not wrong


def test_the_other_libraries_have_one_pair_each():
    for pattern in ONE_PAIR:
        pairs = {tree.stem(path) for path, name in angled_includes() if re.fullmatch(pattern, name)}
        assert len(pairs) <= 1, f"{pattern} is included by {sorted(pairs)}"


def test_there_is_no_library_that_nobody_decided_on():
    known = [*PLACES, *SOURCES_ONLY, *ONE_PAIR, *FREE, *SYSTEM]
    unknown = [
        f"{path} includes {name}" for path, name in angled_includes() if not matches(name, known)
    ]
    assert not unknown
