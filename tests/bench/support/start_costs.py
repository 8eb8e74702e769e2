"""What a worker costs on a real node: time from its order to ready, and private memory."""

import re
import statistics

import apps
from waiting import wait_until

FLASK = """
from flask import Flask
application = Flask(__name__)

@application.route("/")
def hello():
    return "Hello, world"
"""
WORKERS = 50


def measure(bench_node, boots):
    """ready_ms_hello, ready_ms_flask and private_kb_hello: medians, over so many boots of each."""
    return {
        "ready_ms_hello": _ready_ms(bench_node, "ready", apps.HELLO, [], boots),
        "ready_ms_flask": _ready_ms(bench_node, "flask", FLASK, ["flask"], boots),
        "private_kb_hello": _private_kb(bench_node),
    }


def _ready_ms(bench_node, app, source, packages, boots):
    """Each version is deployed by itself, so that one worker boots at a time."""
    for number in range(boots):
        bench_node.deploy(app, 1, source, packages, f"1.0.{number}")
    pattern = re.compile(rf" worker_started .*\bapp=bench/{app}\b.*\bboot_us=(\d+)")
    times = [int(found) / 1000 for found in pattern.findall(bench_node.node.log())]
    assert len(times) >= boots, f"{len(times)} boots of {app} in the node's log"
    return statistics.median(times)


def _private_kb(bench_node):
    """Of one worker, while so many run."""
    bench_node.deploy("many", WORKERS)

    def all_ready():
        rows = bench_node.node.json("ps", "bench/many")["workers"]
        idle = [row["pid"] for row in rows if row["state"] == "idle"]
        return idle if len(idle) == WORKERS else None

    pids = wait_until(all_ready, f"{WORKERS} workers are ready", 60.0)
    return statistics.median(_private_kb_of(pid) for pid in pids)


def _private_kb_of(pid):
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return total
