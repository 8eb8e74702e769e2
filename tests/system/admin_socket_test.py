"""Where root's own node has its admin socket, and who reaches it there."""

import grp
import os
import stat
import subprocess

import pytest
from node import IDS, Node

# An empty /run and /var/lib for one node alone.
LAUNCHER = [
    *("unshare", "--mount", "sh", "-ec"),
    'for folder in /run /var/lib; do mount -t tmpfs -o mode=755 none $folder; done; exec "$@"',
    "sh",
]
GROUP = "daemon"  # every Debian has it


@pytest.fixture
def roots_node(installation):
    if os.geteuid() != 0:
        pytest.skip("only root has that default")
    settings = {"node": {"state_dir": "/var/lib/cloister"}, "admin": {"group": GROUP}}
    node = Node(installation, "root", settings, LAUNCHER)
    try:
        node.start(wait=False)
        node.socket = f"/proc/{node.keeper.pid}/root/run/cloister/admin.sock"
        node.wait_ready()
        yield node
    finally:
        node.remove()


def status(node, uid, gid):
    """`cloister status` without a word about the socket, where the node is."""
    return subprocess.run(
        [
            *("nsenter", f"--target={node.keeper.pid}", "--mount"),
            *("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
            *(node.bin / "cloister", "status"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        env={},
    )


def test_the_command_line_finds_the_node_for_root_and_the_group_alone(roots_node):
    root = status(roots_node, 0, 0)
    assert root.returncode == 0, root.stderr
    member = status(roots_node, IDS["nobody"], grp.getgrnam(GROUP).gr_gid)
    assert member.returncode == 0, member.stderr
    stranger = status(roots_node, IDS["stranger"], IDS["stranger"])
    assert stranger.returncode == 3 and "not_operator" in stranger.stderr
    directory = os.stat(os.path.dirname(roots_node.socket))
    assert stat.S_IMODE(directory.st_mode) == 0o750
    assert directory.st_gid == grp.getgrnam(GROUP).gr_gid
