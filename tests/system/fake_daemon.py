"""cloisterd over stand-ins for node and interpreter (tests/support), started and ended by a test.
The keeper, the zygote and all walls are real."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import raw_http
from node import IDS, free_port
from processes import Process, running_from
from waiting import wait_until


class Daemon:
    """cloisterd over the stand-ins, with a state directory of its own."""

    def __init__(self, programs, user):
        self.programs = programs
        self.launcher = []
        self.user = user
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-"))
        self.folder.chmod(0o777)
        self.state = self.folder / "state"
        self.port = free_port()
        self.log_file = self.folder / "log"
        self.settings = {"node": {"stop_grace": "5s"}}
        self.popen = None
        self.pid = 0

    def command(self, *arguments):
        number = IDS.get(self.user)
        drop = (
            []
            if number is None
            else ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]
        )
        return [*drop, *self.launcher, self.programs / "cloisterd", *map(str, arguments)]

    def write_settings(self, text=None):
        if text is None:
            sections = {name: dict(values) for name, values in self.settings.items()}
            sections["node"].setdefault("state_dir", str(self.state))
            sections.setdefault("http", {}).setdefault("listen", [f"127.0.0.1:{self.port}"])
            text = "".join(
                f"[{name}]\n"
                + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
                for name, values in sections.items()
            )
        (self.folder / "cloisterd.toml").write_text(text)

    def start(self):
        self.write_settings()
        with open(self.log_file, "ab") as log:
            self.popen = subprocess.Popen(
                self.command("--config", self.folder / "cloisterd.toml"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self.pid = self.popen.pid
        wait_until(self.answers, lambda: f"the node answers\n{self.log()}")
        return self

    def run(self, *arguments):
        """Another cloisterd as the same user, which must end by itself."""
        return subprocess.run(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            cwd="/",
        )

    def connect(self, timeout=10.0):
        return raw_http.Connection(("127.0.0.1", self.port), timeout=timeout)

    def ask(self, timeout=5.0):
        """What the node says about itself, after a worker of it answered."""
        answer = raw_http.request(
            ("127.0.0.1", self.port), "GET", "/", "localhost", timeout=timeout
        )
        return json.loads(answer.body) if answer.status == 200 else None

    def answers(self):
        assert self.popen.poll() is None, f"cloisterd ended with {self.popen.poll()}:\n{self.log()}"
        try:
            return self.ask(timeout=1.0)
        except (OSError, raw_http.ConnectionEnded):
            return None

    def children(self):
        return Process.of(self.pid).children()

    def processes(self, role):
        if role == "keeper":
            return [Process.of(self.pid)]
        found = []
        for process in self.children():
            is_worker = process.has_own_pid_namespace()
            program = "cloister-zygote" if role == "worker" else f"cloister-{role}"
            # Without its title yet it is only about to become a worker.
            is_made = not is_worker or process.command().startswith("cloister-worker")
            if process.program() == program and is_worker == (role == "worker") and is_made:
                found.append(process)
        return found

    def is_whole(self):
        """It serves, with exactly one node and one zygote, and two blanks beside the worker."""
        return (
            self.answers()
            and len(self.processes("node")) == 1
            and len(self.processes("zygote")) == 1
            and len(self.processes("worker")) == 3
        )

    def wait_whole(self):
        wait_until(
            self.is_whole,
            lambda: f"{[(p.program(), p.pid) for p in self.children()]}\n{self.log()}",
            30.0,
        )

    def signal(self, role, number):
        for process in self.processes(role):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue
            if number == signal.SIGSTOP:
                wait_until(lambda p=process: p.state() in "TZ", "it is stopped")

    def kill(self):
        """kill -9 of the keeper alone: everything else must end by itself."""
        left = running_from(self.programs)
        self.popen.kill()
        self.popen.wait()
        self.popen = None
        self.assert_gone(left)

    def stop(self):
        left = running_from(self.programs)
        self.popen.send_signal(signal.SIGTERM)
        code = self.popen.wait(20)
        self.popen = None
        assert not [p.command() for p in left if p.is_alive()], "the keeper ends last"
        return code

    def assert_gone(self, left):
        wait_until(
            lambda: not any(process.is_alive() for process in left),
            lambda: f"all ended: {[(p.pid, p.program(), p.state()) for p in left if p.is_alive()]}",
        )

    def remove(self):
        try:
            if self.popen is not None:
                for process in running_from(self.programs):
                    if process.state() == "T":
                        os.kill(process.pid, signal.SIGCONT)
                assert self.stop() == 0, self.log()
                assert not cgroups_of(self.pid)
        finally:
            if self.popen is not None:
                self.popen.kill()
                self.popen.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def cgroups_of(pid):
    return [
        folder for folder, _, _ in os.walk("/sys/fs/cgroup") if folder.endswith(f"/cloister-{pid}")
    ]
