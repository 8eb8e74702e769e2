"""Lists the files of Python packages with everything that they require, as JSON on stdout.

Run by `cloister deploy` with the deployer's Python: python -E -c THIS MAJOR.MINOR NAME...
A NAME is that of a distribution ("web.py") or of an import package ("web"). What a package requires
is what its metadata says (markers evaluated, extras ignored); Debian moves that knowledge into its
own packages' Depends, so for files that a Debian package owns those count as well. Nothing is
imported. Standard library only; imports come after the clean-up of sys.path.
"""
import sys

# With -c the first entry is the current directory: the app's own modules are not to be taken here.
sys.path = [entry for entry in sys.path if entry]

import glob  # noqa: E402
import importlib.machinery  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import re  # noqa: E402

PYTHON_SUFFIXES = (".py",)
EXTENSION_SUFFIXES = (".so", ".pyd", ".dylib")
SKIPPED_FOLDERS = ("__pycache__",)
SKIPPED_SUFFIXES = (".pyc", ".pyo")
DPKG = "/var/lib/dpkg"


class Problem(Exception):
    """Ends the run; the deployer sees code, message and advice."""

    def __init__(self, code, message, advice=""):
        super().__init__(message)
        self.report = {"code": code, "message": message, "advice": advice}


def normal(name):
    """The name of a distribution as PEP 503 compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- Environment markers (PEP 508), as far as metadata uses them.

MARKER_TOKEN = re.compile(
    r"\s*(?:(?P<op>===|==|!=|<=|>=|~=|<|>)|(?P<paren>[()])|'(?P<single>[^']*)'"
    r'|"(?P<double>[^"]*)"|(?P<word>[A-Za-z_.]+))')


def marker_environment():
    version = platform.python_version()
    return {
        "python_version": ".".join(version.split(".")[:2]), "python_full_version": version,
        "implementation_version": version, "implementation_name": sys.implementation.name,
        "platform_python_implementation": platform.python_implementation(),
        "os_name": os.name, "sys_platform": sys.platform, "platform_system": platform.system(),
        "platform_machine": platform.machine(), "platform_release": platform.release(),
        "platform_version": platform.version(), "extra": "",
    }


def version_key(text):
    match = re.match(r"\d+(\.\d+)*", text)
    return [int(part) for part in match.group().split(".")] if match else None


def compare(left, op, right):
    if op == "in":
        return left in right
    if op == "not in":
        return left not in right
    if op == "===":
        return left == right
    left_key, right_key = version_key(left), version_key(right)
    if left_key is not None and right_key is not None:
        if op == "~=":
            return left_key >= right_key and left_key[:len(right_key) - 1] == right_key[:-1]
        if op in ("==", "!=") and right.endswith(".*"):
            return (left_key[:len(right_key)] == right_key) == (op == "==")
        size = max(len(left_key), len(right_key))
        left = left_key + [0] * (size - len(left_key))
        right = right_key + [0] * (size - len(right_key))
    return {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right,
            ">": left > right, ">=": left >= right}[op]


class Marker:
    """Reads `a == "b" and (c or d)` by recursive descent."""

    def __init__(self, text):
        self.tokens = []
        position = 0
        text = text.strip()
        while position < len(text):
            match = MARKER_TOKEN.match(text, position)
            if not match:
                raise ValueError(text)
            self.tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        self.environment = marker_environment()

    def take(self, *words):
        if self.tokens and self.tokens[0][1] in words and self.tokens[0][0] in ("word", "paren"):
            return self.tokens.pop(0)[1]
        return None

    def value(self):
        kind, text = self.tokens.pop(0)
        return self.environment.get(text, "") if kind == "word" else text

    def operator(self):
        if self.take("not"):
            self.take("in")
            return "not in"
        return self.take("in") or self.tokens.pop(0)[1]

    def term(self):
        if self.take("("):
            result = self.either()
            self.take(")")
            return result
        left = self.value()
        op = self.operator()
        return compare(left, op, self.value())

    def both(self):
        result = self.term()
        while self.take("and"):
            result = self.term() and result
        return result

    def either(self):
        result = self.both()
        while self.take("or"):
            result = self.both() or result
        return result


def holds(marker):
    """Whether a marker is true here. One that cannot be read is taken to be true."""
    try:
        parsed = Marker(marker)
        return parsed.either() or bool(parsed.tokens)
    except (ValueError, LookupError):
        return True


def requirements(distribution):
    """The names that a distribution requires here, without extras."""
    names = []
    for line in distribution.requires or []:
        requirement, _, marker = line.partition(";")
        match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
        if match and (not marker.strip() or holds(marker)):
            names.append(match.group(1))
    return names


# --- What Debian knows: /var/lib/dpkg, read as text.

class Dpkg:
    def __init__(self):
        self.folder = DPKG
        self.owners = None
        self.depends = None

    def lists(self):
        return glob.glob(os.path.join(self.folder, "info", "python*.list"))

    def owner(self, path):
        """The Debian package that owns `path`, or None."""
        if self.owners is None:
            self.owners = {}
            for name in self.lists():
                package = os.path.basename(name)[:-len(".list")].partition(":")[0]
                for line in read_lines(name):
                    if "-packages/" in line:
                        self.owners.setdefault(line, package)
        return self.owners.get(path)

    def required_by(self, package):
        """Lists of alternatives, each a package's name."""
        if self.depends is None:
            self.depends = {}
            name = None
            for line in read_lines(os.path.join(self.folder, "status")):
                if line.startswith("Package: "):
                    name = line[9:].strip()
                elif line.startswith(("Depends: ", "Pre-Depends: ")) and name:
                    fields = line.partition(": ")[2].split(",")
                    self.depends.setdefault(name, []).extend(
                        [re.split(r"[ (:]", choice.strip())[0] for choice in field.split("|")]
                        for field in fields)
        return self.depends.get(package, [])

    def files(self, package):
        """The package's paths below a directory of Python packages."""
        for name in self.lists():
            if os.path.basename(name)[:-len(".list")].partition(":")[0] == package:
                return [line for line in read_lines(name) if "-packages/" in line]
        return []


def read_lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().split("\n")
    except OSError:
        return []


# --- Collecting.

class Collector:
    def __init__(self):
        self.dpkg = Dpkg()
        self.distributions = {}
        for found in importlib.metadata.distributions():
            name = found.metadata["Name"]
            # The first on sys.path wins, as in an import.
            if name:
                self.distributions.setdefault(normal(name), found)
        self.by_import = {}
        for found in self.distributions.values():
            for top in self.top_level(found):
                self.by_import.setdefault(top, []).append(found)
        self.files = {}  # path in site-packages: path here
        self.left_out = {}
        self.taken = set()
        self.packages = []

    # -- what there is

    @staticmethod
    def metadata_path(distribution):
        path = getattr(distribution, "_path", None)
        return str(path) if path is not None else None

    def top_level(self, distribution):
        """The import names of a distribution."""
        text = distribution.read_text("top_level.txt")
        if text is not None:
            return text.split()
        names = []
        for file in distribution.files or []:
            first = file.parts[0]
            if first.endswith((".dist-info", ".egg-info")) or first == "..":
                continue
            if len(file.parts) > 1 or first.endswith(PYTHON_SUFFIXES + EXTENSION_SUFFIXES):
                name = first.split(".")[0]
                if name not in names and name not in SKIPPED_FOLDERS:
                    names.append(name)
        if not names:
            # A single-file egg-info says nothing: its name is the best guess.
            guess = (distribution.metadata["Name"] or "").replace("-", "_")
            if guess and importlib.machinery.PathFinder.find_spec(guess):
                names.append(guess)
        return names

    @staticmethod
    def is_standard(name):
        return name in sys.stdlib_module_names

    # -- one name

    def collect(self, name, why):
        """Takes the package `name`; `why` says who asked: None for the manifest."""
        distribution = self.distributions.get(normal(name))
        if distribution is not None:
            self.take_distribution(distribution)
            return
        if name in self.by_import:
            for distribution in self.by_import[name]:
                self.take_distribution(distribution)
            return
        if self.is_standard(name) and why is None:
            raise Problem("package_standard",
                          "'%s' is part of Python's standard library" % name,
                          "Remove it from [bundle] packages. What workers have of the standard "
                          "library is there without; docs/apps/moving-flask.md lists what they "
                          "do not have, and no package brings that.")
        if importlib.machinery.PathFinder.find_spec(name.partition(".")[0]) and "." not in name:
            self.take_module(name)
            return
        self.missing(name, why)

    def missing(self, name, why):
        wanted = "'%s', which %s requires," % (name, why) if why else "'%s'" % name
        raise Problem(
            "package_missing", "the package %s is not installed for %s" % (wanted, sys.executable),
            "Install it: `apt install python3-%s`, or `%s -m pip install %s`; or give another "
            "Python with --python." % (normal(name), sys.executable, name))

    def take_distribution(self, distribution):
        name = distribution.metadata["Name"]
        if normal(name) in self.taken:
            return
        self.taken.add(normal(name))
        tops = self.top_level(distribution)
        self.packages.append({"name": name, "version": distribution.version, "imports": tops})
        path = self.metadata_path(distribution)
        owner = self.owner_of(path)
        if path:
            self.add_tree(path, os.path.basename(path))
        for top in tops:
            self.add_top_level(top, distribution, owner)
        for required in requirements(distribution):
            # Debian's word counts for what Debian packaged: it may do without.
            if owner and normal(required) not in self.distributions:
                self.left_out.setdefault(required, "not installed, and Debian's %s does without"
                                         % owner)
                continue
            self.collect(required, name)
        self.take_debian_depends(owner)

    def owner_of(self, path):
        if not path:
            return None
        return self.dpkg.owner(path)

    def take_debian_depends(self, owner):
        for choices in self.dpkg.required_by(owner) if owner else []:
            for choice in choices:
                if self.take_debian_package(choice):
                    break

    def take_debian_package(self, package):
        """Takes the Python packages of a Debian package; false when there are none."""
        files = self.dpkg.files(package)
        if not files or package in ("python3-minimal", "python3"):
            return False
        found = False
        for distribution in list(self.distributions.values()):
            path = self.metadata_path(distribution)
            if path and self.dpkg.owner(path) == package:
                self.take_distribution(distribution)
                found = True
        if found:
            return True
        for path in files:
            top = path.partition("-packages/")[2].partition("/")[0]
            module = top[:-3] if top.endswith(".py") else top
            if module.isidentifier() and importlib.machinery.PathFinder.find_spec(module):
                self.take_module(module)
                found = True
        return found

    def take_module(self, name):
        if "module " + name in self.taken:
            return
        self.taken.add("module " + name)
        self.packages.append({"name": name, "version": "", "imports": [name]})
        self.add_top_level(name, None, None)
        spec = importlib.machinery.PathFinder.find_spec(name)
        owner = self.owner_of(spec.origin) if spec.origin else None
        self.take_debian_depends(owner)

    # -- files

    def add_top_level(self, name, distribution, owner):
        spec = importlib.machinery.PathFinder.find_spec(name)
        if spec is None:
            return
        if spec.submodule_search_locations is None:
            self.add_file(spec.origin, os.path.basename(spec.origin))
            return
        if spec.origin is not None:
            self.add_tree(os.path.dirname(spec.origin), name)
            return
        # A namespace package is shared: only this distribution's part of it, when that is known.
        listed = [str(distribution.locate_file(file))
                  for file in (distribution.files or [] if distribution else [])]
        if not listed and owner:
            listed = self.dpkg.files(owner)
        for location in spec.submodule_search_locations:
            inside = [path for path in listed if path.startswith(location + os.sep)]
            for path in inside:
                if not os.path.isdir(path):
                    self.add_file(path, os.path.join(name, os.path.relpath(path, location)))
            if not listed:
                self.add_tree(location, name)

    def add_tree(self, root, prefix):
        if not os.path.isdir(root):
            self.add_file(root, prefix)
            return
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
            inner = os.path.relpath(folder, root)
            for name in sorted(names):
                self.add_file(os.path.join(folder, name),
                              os.path.normpath(os.path.join(prefix, inner, name)))

    def add_file(self, source, path):
        if path.endswith(SKIPPED_SUFFIXES) or "__pycache__" in path.split(os.sep):
            return
        if path.endswith(EXTENSION_SUFFIXES) or ".so." in os.path.basename(path):
            self.left_out[path] = "an extension module; what has a pure Python fallback uses that"
        elif os.path.isfile(source):
            self.files[path] = os.path.realpath(source)
        elif os.path.islink(source):
            self.left_out[path] = "a link to what is not there"


def run(arguments):
    wanted, names = arguments[0], arguments[1:]
    found = "%d.%d" % sys.version_info[:2]
    if found != wanted:
        raise Problem("python_version",
                      "%s is Python %s; this node runs Python %s" % (sys.executable, found, wanted),
                      "Give a Python %s with --python." % wanted)
    collector = Collector()
    for name in names:
        collector.collect(name, None)
    return {
        "python": platform.python_version(),
        "packages": collector.packages,
        "files": [{"path": path, "source": source}
                  for path, source in sorted(collector.files.items())],
        "left_out": [{"path": path, "reason": reason}
                     for path, reason in sorted(collector.left_out.items())],
    }


def main():
    try:
        result = run(sys.argv[1:])
    except Problem as problem:
        result = {"problem": problem.report}
    json.dump(result, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
