"""What `[bundle] packages` collects: complete, without extension modules, and enough to run."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "daemon/cli/collect_packages.py"
PYTHON = "/usr/bin/python3.11"


def asks_the_node(folder):
    """Whether it uses `cloister`, which is no part of a bundle."""
    pattern = re.compile(r"^(import|from) cloister\b", re.M)
    return any(pattern.search(path.read_text()) for path in folder.rglob("*.py"))


APPS = sorted(
    path.parent.relative_to(ROOT)
    for pattern in ("docs/examples/*/expect.json", "tests/apps/*/expect.json")
    for path in ROOT.glob(pattern)
    if not asks_the_node(path.parent)
)


def collect(*names, version="3.11", python=PYTHON, cwd="/"):
    """Runs the script as the command line does."""
    done = subprocess.run(
        [python, "-E", "-c", SCRIPT.read_text(), version, *names],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def collector(monkeypatch, tmp_path):
    """The script as a module that sees only the standard library and tmp_path/site."""
    spec = importlib.util.spec_from_file_location("collect_packages", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    site = tmp_path / "site"
    site.mkdir()
    unwanted = ("-packages", "tests")
    standard = [path for path in before if path and not any(word in path for word in unwanted)]
    monkeypatch.setattr(sys, "path", [str(site), *standard])
    monkeypatch.setattr(module, "DPKG", str(tmp_path / "dpkg"))
    return module


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def install(site, name, files, requires=(), record=True):
    """A distribution as pip leaves it."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = [f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {line}" for line in requires)]
    (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
    for path, text in files.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    if record:
        rows = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD"]
        (info / "RECORD").write_text("".join(f"{row},,\n" for row in rows))


def paths_of(result):
    return [entry["path"] for entry in result["files"]]


# --- with Debian's packages


@pytest.mark.parametrize(
    "name, present",
    [
        ("flask", ["flask/__init__.py", "werkzeug/__init__.py", "jinja2/__init__.py"]),
        ("Flask", ["click/__init__.py", "markupsafe/_native.py", "itsdangerous/__init__.py"]),
        ("web.py", ["web/__init__.py", "cheroot/__init__.py"]),
        ("web", ["web/__init__.py"]),
        ("bottle", ["bottle.py"]),
        ("django", ["django/__init__.py", "asgiref/sync.py", "pytz/__init__.py"]),
        ("Django", ["sqlparse/sql.py"]),
        ("webob", ["webob/__init__.py"]),
        ("routes", ["routes/__init__.py", "repoze/lru/__init__.py", "six.py"]),
        ("sqlalchemy", ["sqlalchemy/__init__.py", "greenlet/__init__.py"]),
    ],
)
def test_a_package_comes_with_what_it_requires(name, present):
    paths = paths_of(collect(name))
    assert [path for path in present if path not in paths] == []
    assert not [path for path in paths if path.endswith((".pyc", ".so")) or "__pycache__" in path]


def test_metadata_comes_along():
    paths = paths_of(collect("flask"))
    assert any(path.startswith("Flask-") and path.endswith("/PKG-INFO") for path in paths)
    assert any(path.startswith("Werkzeug-") for path in paths)


def test_package_data_comes_along():
    paths = paths_of(collect("django"))
    assert "django/views/templates/technical_500.html" in paths
    assert "django/conf/locale/fr/LC_MESSAGES/django.mo" in paths


def test_extension_modules_are_left_out_and_listed():
    result = collect("flask")
    (left,) = result["left_out"]
    assert left["path"].startswith("markupsafe/_speedups") and left["path"].endswith(".so")
    assert "pure Python" in left["reason"]
    assert "markupsafe/_speedups.pyi" in paths_of(result)


def test_what_is_missing_is_named_with_the_way_to_get_it():
    problem = collect("no-such-package")["problem"]
    assert problem["code"] == "package_missing"
    assert "'no-such-package'" in problem["message"]
    assert "apt install python3-no-such-package" in problem["advice"]


def test_the_standard_library_is_not_a_package():
    problem = collect("json")["problem"]
    assert problem["code"] == "package_standard"
    # It is not said that workers have all of it.
    assert "docs/apps/moving-flask.md lists what they do not have" in problem["advice"]


def test_another_minor_version_is_refused():
    problem = collect("flask", version="3.12")["problem"]
    assert problem["code"] == "python_version"
    assert "3.11" in problem["message"] and "3.12" in problem["message"]


def test_the_apps_own_modules_are_not_taken(tmp_path):
    write(tmp_path, {"json.py": "raise SystemExit('imported')", "mine.py": ""})
    assert collect("mine", cwd=tmp_path)["problem"]["code"] == "package_missing"


# --- with packages made for the test


def test_requirements_are_followed_and_markers_heeded(collector, tmp_path):
    site = tmp_path / "site"
    requires = [
        "needed>=2",
        'old; python_version < "3"',
        'extra-thing; extra == "fancy"',
        'windows; sys_platform == "win32" and python_version >= "3"',
        'Other_Thing (>=1) ; (os_name == "posix" or os_name == "nt") and python_version > "3.2"',
    ]
    install(site, "top", {"top/__init__.py": "", "top/data.bin": "x"}, requires)
    install(site, "needed", {"needed.py": ""}, ["top"])
    install(site, "other-thing", {"other/__init__.py": ""})
    result = collector.run(["3.11", "top"])
    assert [package["name"] for package in result["packages"]] == ["top", "needed", "other-thing"]
    expected = {"top/__init__.py", "top/data.bin", "needed.py", "other/__init__.py"}
    assert expected <= set(paths_of(result))


def test_a_missing_requirement_says_who_asks(collector, tmp_path):
    install(tmp_path / "site", "top", {"top.py": ""}, ["absent"])
    with pytest.raises(collector.Problem) as problem:
        collector.run(["3.11", "top"])
    assert "'absent', which top requires," in problem.value.report["message"]


def test_only_its_part_of_a_namespace_package(collector, tmp_path):
    site = tmp_path / "site"
    install(site, "space-one", {"space/one/__init__.py": ""})
    install(site, "space-two", {"space/two/__init__.py": ""})
    paths = paths_of(collector.run(["3.11", "space-one"]))
    assert [path for path in paths if path.startswith("space/")] == ["space/one/__init__.py"]


def test_a_package_without_metadata(collector, tmp_path):
    files = {"plain/__init__.py": "", "plain/sub.txt": "x", "plain/ext.so": ""}
    write(tmp_path / "site", files)
    result = collector.run(["3.11", "plain"])
    assert paths_of(result) == ["plain/__init__.py", "plain/sub.txt"]
    assert [left["path"] for left in result["left_out"]] == ["plain/ext.so"]


def test_links_become_what_they_point_to(collector, tmp_path):
    site = tmp_path / "site"
    write(site, {"plain/__init__.py": ""})
    (tmp_path / "elsewhere.js").write_text("x")
    (site / "plain/linked.js").symlink_to(tmp_path / "elsewhere.js")
    (site / "plain/broken.js").symlink_to(tmp_path / "absent.js")
    result = collector.run(["3.11", "plain"])
    sources = {entry["path"]: entry["source"] for entry in result["files"]}
    assert sources["plain/linked.js"] == str(tmp_path / "elsewhere.js")
    assert [left["path"] for left in result["left_out"]] == ["plain/broken.js"]


def test_debian_knows_what_its_metadata_lost(collector, tmp_path):
    site = tmp_path / "dist-packages"
    install(site, "top", {"top.py": ""}, ["optional"], record=False)
    install(site, "below", {"below.py": ""}, record=False)
    for name in ("top", "below"):
        (site / f"{name}-1.0.dist-info/top_level.txt").write_text(f"{name}\n")
    sys.path.insert(0, str(site))
    info = tmp_path / "dpkg/info"
    info.mkdir(parents=True)
    for name in ("top", "below"):
        owned = f"{site}/{name}.py\n{site}/{name}-1.0.dist-info\n"
        (info / f"python3-{name}.list").write_text(owned)
    (tmp_path / "dpkg/status").write_text(
        "Package: python3-top\nDepends: python3:any, python3-absent | python3-below (>= 1)\n\n"
        "Package: python3-below\nDepends: libc6\n"
    )
    result = collector.run(["3.11", "top"])
    assert [package["name"] for package in result["packages"]] == ["top", "below"]
    assert [left["path"] for left in result["left_out"]] == ["optional"]


@pytest.mark.parametrize(
    "marker, expected",
    [
        ("python_version >= '3.8'", True),
        ("python_version < '3.10'", False),
        ("python_full_version ~= '3.11.0'", True),
        ("python_version == '3.*'", True),
        ("python_version != '3.11'", False),
        ("'linux' in sys_platform", True),
        ("sys_platform not in 'win32 cygwin'", True),
        ("implementation_name === 'cpython'", True),
        ("os_name == 'nt' or os_name == 'posix' and python_version > '3'", True),
        ("(os_name == 'nt' or os_name == 'posix') and python_version < '3'", False),
        ("extra == 'x'", False),
        ("what is this", True),
        ("", True),
    ],
)
def test_markers(collector, marker, expected):
    assert collector.holds(marker) is expected


# --- what is collected is enough

RUNNER = r"""
import io, json, sys
bundle, entry = sys.argv[1:]
sys.path[:0] = [bundle, bundle + "/site-packages"]
assert not [path for path in sys.path if "dist-packages" in path], sys.path
import importlib
module, _, name = entry.partition(":")
application = getattr(importlib.import_module(module), name)

def ask(step):
    body = step.get("body_sent", "")
    if "body_sent_repeat" in step:
        body = step["body_sent_repeat"][0] * step["body_sent_repeat"][1]
    body = body.encode()
    path, _, query = step["path"].partition("?")
    from urllib.parse import unquote_to_bytes
    environ = {
        "REQUEST_METHOD": step.get("method", "GET"), "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query,
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for key, value in step.get("headers_sent", {}).items():
        key = key.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else "HTTP_" + key] = value
    answer = {}
    written = []
    def start_response(status, headers, exc_info=None):
        answer.update(status=int(status[:3]), headers=headers)
        return written.append
    parts = application(environ, start_response)
    received = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    if environ["REQUEST_METHOD"] == "HEAD":
        received = b""
    answer["body"] = (b"".join(written) + received).decode("utf-8", "surrogateescape")
    return answer

print(json.dumps([ask(step) for step in json.load(open("expect.json"))["requests"]]))
"""


@pytest.mark.parametrize("app", APPS, ids=str)
def test_the_bundle_runs_without_anything_else(tmp_path, app):
    """The app with its packages, in a Python that sees only the standard library."""
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / app, bundle)
    manifest = tomllib.loads((bundle / "cloister.toml").read_text())
    names = manifest.get("bundle", {}).get("packages", [])
    for entry in collect(*names)["files"] if names else []:
        target = bundle / "site-packages" / entry["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry["source"], target)
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-B", "-c", RUNNER, str(bundle), manifest["entry"]["web"]],
        capture_output=True,
        text=True,
        cwd=bundle,
        env={"PATH": os.environ["PATH"], "TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    expect = json.loads((bundle / "expect.json").read_text())
    for step, answer in zip(expect["requests"], answers, strict=True):
        seen = f"{step}: {answer}\n{done.stderr}"
        assert answer["status"] == step["status"], seen
        if "body" in step:
            assert answer["body"] == step["body"], seen
        if "body_length" in step:
            assert len(answer["body"]) == step["body_length"], seen
        if "json" in step:
            assert json.loads(answer["body"]) == step["json"], seen
        for text in step.get("body_contains", []):
            assert text in answer["body"], seen
