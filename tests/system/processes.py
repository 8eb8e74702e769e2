"""Processes as /proc shows them."""

import contextlib
import dataclasses
import os
import pathlib
import signal


@dataclasses.dataclass(frozen=True)
class Process:
    """A pid together with its start, so that a pid given to somebody else is not taken for it."""

    pid: int
    start: int

    @staticmethod
    def of(pid):
        """None when there is no such process, or only its exit status is left."""
        stat = _read(pid, "stat")
        fields = stat[stat.rfind(")") + 2 :].split()
        if not fields or fields[0] in "ZX":
            return None
        return Process(pid, int(fields[19]))

    def is_alive(self):
        return Process.of(self.pid) == self

    def go_on(self):
        """SIGCONT, unless it was killed meanwhile."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)

    def program(self):
        """The file name of its executable; empty when it cannot be read."""
        try:
            return os.path.basename(os.readlink(f"/proc/{self.pid}/exe")).removesuffix(" (deleted)")
        except OSError:
            return ""

    def command(self):
        return _read(self.pid, "cmdline").replace("\0", " ").strip()

    def status(self, key):
        """The value of a line of /proc/PID/status, such as Seccomp; empty when there is none."""
        for line in _read(self.pid, "status").splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return value.strip()
        return ""

    def has_own_pid_namespace(self):
        return len(self.status("NSpid").split()) > 1

    def descriptors(self):
        """Number to target of each open descriptor."""
        folder = pathlib.Path(f"/proc/{self.pid}/fd")
        return {int(entry.name): os.readlink(entry) for entry in folder.iterdir()}

    def private_bytes(self):
        """Memory that no other process shares."""
        lines = _read(self.pid, "smaps_rollup").splitlines()
        sizes = [line.split()[1] for line in lines if line.startswith("Private_")]
        return sum(map(int, sizes)) * 1024

    def mapped_files(self):
        """Names of what is mapped, without [heap] and the like."""
        names = set()
        for line in _read(self.pid, "maps").splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and not fields[5].startswith("["):
                names.add(fields[5])
        return names

    def state(self):
        """One letter: R, S, T (stopped) ..."""
        stat = _read(self.pid, "stat")
        return stat[stat.rfind(")") + 2 :][:1]

    def children(self):
        found = []
        try:
            tasks = os.listdir(f"/proc/{self.pid}/task")
        except OSError:
            return found
        for task in tasks:
            for pid in _read(self.pid, f"task/{task}/children").split():
                child = Process.of(int(pid))
                if child:
                    found.append(child)
        return found

    def tree(self):
        """Itself and everything below it."""
        return [self] + [process for child in self.children() for process in child.tree()]


def running_from(folder):
    """Every process whose executable lies below a folder."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                program = os.readlink(f"/proc/{name}/exe")
            except OSError:
                continue
            process = Process.of(int(name))
            if program.startswith(f"{folder}/") and process:
                found.append(process)
    return found


def _read(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
