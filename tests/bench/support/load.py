"""wrk as the load client, and how busy the rest of the machine was meanwhile."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess

_REPORT = """
done = function(summary, latency, requests)
  io.write(string.format(
    '@@{"requests":%d,"us":%d,"p50_us":%.1f,"p99_us":%.1f,"status":%d,"socket":%d}@@',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read
      + summary.errors.write + summary.errors.timeout))
end
"""


@dataclasses.dataclass(frozen=True)
class Load:
    """What came of some seconds of requests to one side."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int
    cpu_us: float  # of the side's processes
    others_percent: float  # of all cores: used by neither the side nor wrk

    @property
    def rps(self):
        return self.requests / self.seconds

    @property
    def cpu_us_per_request(self):
        return self.cpu_us / self.requests if self.requests else float("nan")


def run_load(side, connections, seconds, folder):
    """Loads a side (port, host, cpu_us()) for so many whole seconds."""
    script = pathlib.Path(folder) / "report.lua"
    script.write_text(_REPORT)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "4s", "-s", script]
    command += ["-H", f"Host: {side.host}", f"http://127.0.0.1:{side.port}/"]
    busy, cpu = _busy_seconds(), side.cpu_us()
    client = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    output = client.stdout.read()
    _, _, used = os.wait4(client.pid, 0)
    client.returncode = 0
    cpu = side.cpu_us() - cpu
    busy = _busy_seconds() - busy
    found = re.search(r"@@(.*)@@", output)
    if not found:
        raise RuntimeError(f"wrk said: {output[-400:]}")
    report = json.loads(found[1])
    took = report["us"] / 1e6
    others = busy - cpu / 1e6 - used.ru_utime - used.ru_stime
    return Load(
        requests=report["requests"],
        seconds=took,
        p50_us=report["p50_us"],
        p99_us=report["p99_us"],
        errors=report["status"] + report["socket"],
        cpu_us=cpu,
        others_percent=max(0.0, others / took / os.cpu_count() * 100),
    )


def _busy_seconds():
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
