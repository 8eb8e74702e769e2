"""Deploys in a row leave nothing behind: processes, descriptors and memory files are the same ones,
and the memory of node and zygote stays what it was.

Counted from the hundredth deploy on: by then as many former releases are kept as the node keeps.
"""

import os

import admin_api
import apps
import node as node_module
import pytest
from waiting import wait_until

APP = "demo/growth"
DEPLOYS = int(os.environ.get("CLOISTER_SOAK_DEPLOYS", "500"))
SETTLED_AFTER = 100
GROWTH_MAX = 2048  # bytes a deploy, each of node and zygote
# What fills once and is bounded: SQLite's caches of pages (2,000 KiB a connection), which are full
# after 1,800 deploys; pages that the zygote shares with its blanks or not, as they come and go.
FILLED_ONCE = 4 << 20


@pytest.fixture
def quiet_node(installation):
    """The zygote is not replaced meanwhile: its growth is what is measured."""
    settings = {"workers": {"zygote_spawns_max": 10_000_000, "zygote_age_max": "7d"}}
    node = node_module.Node(installation, "self", settings)
    try:
        yield node.start()
    finally:
        node.remove()


def deploy(node, number):
    manifest = admin_api.MANIFEST.replace(b"1.0.0", f"{number}.0.0".encode())
    files = {"cloister.toml": manifest, "main.py": apps.HELLO.encode()}
    release = admin_api.deploy(node, APP, files)
    assert release["state"] == "live", release


def is_settled(node):
    """Only the live release is left, with one worker, and the blanks are there again."""
    releases = node.admin("GET", "/v1/tenants/demo/apps/growth/releases?limit=1000").json()
    states = [release["state"] for release in releases["releases"]]
    return (
        set(states) == {"live", "kept"}
        and len(states) <= SETTLED_AFTER + 1
        and len(node.workers(APP)) == 1
        and len(node.processes("worker")) == 3
    )


def held(node):
    """What must not change: processes by program, and descriptors by what they are."""
    processes = node.keeper.tree()
    links = {
        process.program(): sorted(
            link.split(":")[0] for link in process.descriptors().values()
        )
        for process in (node.keeper, node.process("node"), node.process("zygote"))
    }
    return sorted(process.program() for process in processes), links


def measure(node):
    wait_until(lambda: is_settled(node), "what drained is gone", 60.0)
    node_process, zygote = node.process("node"), node.process("zygote")
    return held(node), node_process.private_bytes(), zygote.private_bytes()


def test_deploys_leave_nothing_behind(quiet_node):
    for number in range(1, SETTLED_AFTER + 1):
        deploy(quiet_node, number)
    held_before, node_before, zygote_before = measure(quiet_node)
    for number in range(SETTLED_AFTER + 1, DEPLOYS + 1):
        deploy(quiet_node, number)
    held_after, node_after, zygote_after = measure(quiet_node)
    deploys = DEPLOYS - SETTLED_AFTER
    growth = [
        max(0, after - before - FILLED_ONCE) / deploys
        for before, after in ((node_before, node_after), (zygote_before, zygote_after))
    ]
    print(f"{deploys} deploys: node {growth[0]:.0f} B, zygote {growth[1]:.0f} B each; {held_after}")
    assert held_after == held_before
    assert max(growth) <= GROWTH_MAX
