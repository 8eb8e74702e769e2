"""A node of the real programs, started and ended by a test."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import raw_http
from processes import Process, running_from
from waiting import wait_until

# Users by name: who may run a node beside root, and somebody who has nothing to do with it.
IDS = {"nobody": 65534, "stranger": 65533}
PROGRAMS = ("cloisterd", "cloister-node", "cloister-zygote", "cloister-query",
            "cloister-query-postgresql", "cloister-query-mariadb", "cloister")


class Installation:
    """The programs in a folder that every user can read, laid out as in the build."""

    def __init__(self, build):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-bin-"))
        self.folder.chmod(0o755)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for name in PROGRAMS:
            shutil.copy(build / "bin" / name, self.bin)
        shutil.copytree(build / "lib", self.folder / "lib")

    def remove(self):
        left = running_from(self.folder)
        shutil.rmtree(self.folder)
        assert not left, f"left behind: {[process.command() for process in left]}"


class Node:
    """cloisterd and all below it, with a state directory of its own.

    `user` is "root", "nobody" or "self"; `settings` are sections of the settings file; `launcher`
    is a command that cloisterd is an argument of.
    """

    def __init__(self, installation, user="self", settings=None, launcher=()):
        self.bin = installation.bin
        self.user = user
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-"))
        self.folder.chmod(0o755)
        self.state = self.folder / "state"
        self.state.mkdir()
        if user == "nobody":
            os.chown(self.state, IDS[user], IDS[user])
        self.socket = str(self.state / "admin.sock")
        self.log_file = self.folder / "log"
        self.port = free_port()
        self.settings = settings or {}
        self.launcher = list(launcher)
        self._popen = None
        self._seen = set()

    # --- its life ---

    def start(self, wait=True):
        assert self._popen is None
        self.write_settings()
        with open(self.log_file, "ab") as log:
            self._popen = subprocess.Popen(
                [
                    *self.launcher,
                    *self.as_user(),
                    self.bin / "cloisterd",
                    *("--config", self.folder / "cloisterd.toml"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30.0):
        def ready():
            code = self._popen.poll()
            assert code is None, f"cloisterd ended with {code}:\n{self.log()}"
            return self.is_ready()

        wait_until(ready, "the node is ready", seconds)

    def is_ready(self):
        try:
            return self.admin("GET", "/readyz").status == 200
        except (OSError, raw_http.ConnectionEnded):
            return False

    def stop(self, seconds=40.0):
        """Ends the node as an operator does; nothing may be left. Returns its exit code."""
        self.remember()
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        code = self._popen.wait(seconds)
        self._popen = None
        self.assert_nothing_left()
        return code

    def kill(self):
        """kill -9 of the keeper; everything else must end by itself."""
        self.remember()
        self._popen.kill()
        self._popen.wait()
        self._popen = None
        self.assert_nothing_left()

    def wait_ended(self, seconds=30.0):
        """The exit code of a cloisterd that ends by itself."""
        code = self._popen.wait(seconds)
        self._popen = None
        self.assert_nothing_left()
        return code

    def restart(self):
        assert self.stop() == 0
        return self.start()

    def remove(self):
        """Ends what is left and takes the files away. A failed test ends here, too."""
        try:
            if self._popen is not None:
                self.remember()
                for process in self._seen:
                    if process.state() == "T":
                        os.kill(process.pid, signal.SIGCONT)
                assert self.stop() == 0, f"cloisterd ended with an error:\n{self.log()}"
        finally:
            if self._popen is not None:
                self._popen.kill()
                self._popen.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def remember(self):
        """Notes which processes there are now, for assert_nothing_left."""
        if self._popen is not None:
            keeper = Process.of(self._popen.pid)
            self._seen.update(keeper.tree() if keeper else [])

    def assert_nothing_left(self, seconds=10.0):
        wait_until(
            lambda: not any(process.is_alive() for process in self._seen),
            lambda: [f"{p.pid} {p.program()} {p.state()}" for p in self._seen if p.is_alive()],
            seconds,
        )
        self._seen.clear()

    # --- its processes ---

    @property
    def keeper(self):
        return Process.of(self._popen.pid)

    def processes(self, role):
        """role: node, zygote or worker (blanks are workers)."""
        found = []
        for process in self.keeper.children():
            program = process.program()
            if program == "cloister-zygote":
                is_role = role == ("worker" if process.has_own_pid_namespace() else "zygote")
            else:
                is_role = program == f"cloister-{role}"
            if is_role:
                found.append(process)
        self._seen.update(found)
        return found

    def process(self, role):
        """The one process of a role."""
        (process,) = self.processes(role)
        return process

    def workers(self, app):
        """The processes that run an app, as `cloister ps` names them."""
        rows = self.json("ps", app)["workers"]
        found = [Process.of(row["pid"]) for row in rows]
        return [process for process in found if process]

    # --- talking to it ---

    def cli(self, *arguments, check=True, timeout=120.0, cwd="/", user=None):
        """Runs the command line as the node's user; `check` wants exit code 0."""
        done = subprocess.run(
            self.cli_command(*arguments, user=user),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
        )
        if check:
            assert (
                done.returncode == 0
            ), f"{arguments}:\n{done.stdout}{done.stderr}\n{self.log()[-4000:]}"
        return done

    def cli_command(self, *arguments, user=None):
        return [
            *self.as_user(user),
            *(self.bin / "cloister", "--socket", self.socket),
            *map(str, arguments),
        ]

    def json(self, *arguments, **options):
        return json.loads(self.cli("--json", *arguments, **options).stdout)

    def admin(self, method, target, body=None, headers=()):
        """A request on the admin socket, as the user that runs the tests."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = [*headers, ("Content-Type", "application/json")]
        return raw_http.request(self.socket, method, target, "localhost", headers, body)

    def tenant(self, name="demo"):
        if name not in [tenant["name"] for tenant in self.json("tenants", "list")["tenants"]]:
            self.cli("tenants", "create", name)
        return name

    def deploy(self, directory, app, check=True, arguments=(), **options):
        """Deploys a directory as app (TENANT/NAME), whose tenant is made when it is new."""
        self.tenant(app.split("/")[0])
        done = self.cli("deploy", directory, "--app", app, *arguments, check=False, **options)
        if check and done.returncode != 0:
            log = self.cli("logs", app, check=False).stdout
            raise AssertionError(f"{done.stdout}{done.stderr}\n{log}\n{self.log()[-4000:]}")
        return done

    def connect_admin(self):
        return raw_http.Connection(self.socket)

    def connect(self, **options):
        return raw_http.Connection(("127.0.0.1", self.port), **options)

    def http(self, app, target="/", method="GET", headers=(), body=None, timeout=30.0):
        """A request to an app (TENANT/NAME) on a connection of its own."""
        return raw_http.request(
            ("127.0.0.1", self.port), method, target, host_of(app), headers, body, timeout
        )

    def events(self, app, **options):
        """All events of an app's log."""
        return self.json("logs", app, **options)["events"]

    def cache_server(self):
        """The process of the node's own Redis; None while there is none."""
        for process in self.keeper.children():
            if process.program().startswith(("redis-server", "redis-check")):
                return process
        return None

    def cache_state(self):
        """What the node says of its cache server: "connected", or why it is down."""
        return self.json("status")["facts"]["cache"]

    def wait_cache(self):
        """Until the cache server answers: it starts beside the node, which does not wait for it."""
        wait_until(
            lambda: self.cache_state() == "connected", lambda: f"{self.cache_state()}\n{self.log()}"
        )
        return self

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def as_user(self, user=None):
        """What to put before a command so that the node's user (or another) runs it."""
        number = IDS.get(user or self.user)
        if number is None:
            return []
        return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]

    def run_daemon(self, *arguments):
        """Runs another cloisterd as the node's user, which must end by itself."""
        return subprocess.run(
            [*self.as_user(), self.bin / "cloisterd", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            cwd="/",
        )

    # --- inside ---

    def write_settings(self):
        sections = {name: dict(values) for name, values in self.settings.items()}
        sections.setdefault("node", {}).setdefault("state_dir", str(self.state))
        # Tests ask faster than the default quota lets them.
        sections.setdefault("limits", {}).setdefault("requests", 1000000)
        sections.setdefault("http", {}).setdefault("listen", [f"127.0.0.1:{self.port}"])
        lines = []
        for name, values in sections.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        (self.folder / "cloisterd.toml").write_text("\n".join(lines) + "\n")


def host_of(app):
    tenant, name = app.split("/")
    return f"{name}.{tenant}.localhost"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
