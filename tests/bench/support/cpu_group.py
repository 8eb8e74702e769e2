"""CPU time of a set of processes, living and dead, from a cgroup of theirs (v1 cpuacct or v2)."""

import os
import pathlib
import signal
import time

_V1_MOUNTS = ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct")
_V2_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


class NoCgroups(Exception):
    """This user can make no cgroup that counts CPU time."""


class CpuGroup:
    def __init__(self, name):
        self.folder, self._is_v2 = _make_folder(f"cloister-bench-{os.getpid()}-{name}")

    def launcher(self):
        """A command prefix that joins the group before it becomes the command."""
        script = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        return ["/bin/sh", "-c", script, str(self.folder)]

    def cpu_us(self):
        if not self._is_v2:
            return int((self.folder / "cpuacct.usage").read_text()) / 1000
        for line in (self.folder / "cpu.stat").read_text().splitlines():
            key, value = line.split()
            if key == "usage_usec":
                return float(value)
        raise NoCgroups("cpu.stat has no usage_usec")

    def pids(self):
        """Also those in groups below."""
        found = []
        for procs in self.folder.rglob("cgroup.procs"):
            found += [int(pid) for pid in procs.read_text().split()]
        return sorted(found)

    def remove(self, seconds=10.0):
        """Ends what is left in the group (only this bench put anything there) and removes it."""
        deadline = time.monotonic() + seconds
        while self.pids() and time.monotonic() < deadline:
            for pid in self.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        for folder, _, _ in os.walk(self.folder, topdown=False):
            os.rmdir(folder)


def _make_folder(name):
    for mount in _V1_MOUNTS:
        folder = pathlib.Path(mount) / name
        if os.path.exists(f"{mount}/cpuacct.usage") and _can_make(folder):
            return folder, False
    for mount in _V2_MOUNTS:
        folder = pathlib.Path(mount + _own_v2_path()) / name
        if os.path.exists(f"{mount}/cgroup.controllers") and _can_make(folder):
            if (folder / "cpu.stat").exists():
                return folder, True
            folder.rmdir()
    raise NoCgroups("CPU time is read from cgroups, and this user can make none: run it as root")


def _can_make(folder):
    try:
        folder.mkdir()
        return True
    except OSError:
        return False


def _own_v2_path():
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:].rstrip("/")
    return ""
