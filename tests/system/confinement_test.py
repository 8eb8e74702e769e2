"""A running worker as the kernel shows it: the walls are up, on the real node."""

import os
import re

import apps
import pytest
from waiting import wait_until

APP = "demo/walls"
ALLOWED_FILES = re.compile(
    r"/memfd:.*"  # images and the inbox
    r"|.*/cloister-zygote( \(deleted\))?"
    r"|.*/lib[\w+-]+(\.so[\d.]*|-[\d.]+\.so)( \(deleted\))?"  # libraries
    r"|.*/libpython3\.11\.so\.1\.0"
    r"|.*/ld-linux-x86-64\.so\.2"
    r"|.*/lib/python3\.11/lib-dynload/\w+\.cpython-311-x86_64-linux-gnu\.so"
    r"|.*/lib/locale/.*|.*/gconv-modules\.cache"
)


@pytest.fixture(scope="module")
def worker(node, tmp_path_factory):
    node.deploy(apps.write_app(tmp_path_factory.mktemp("app")), APP)
    assert node.http(APP).status == 200
    (worker,) = node.workers(APP)
    return worker


def test_seccomp_filters(worker):
    assert worker.status("Seccomp") == "2"
    assert worker.status("NoNewPrivs") == "1"


def test_no_capability_is_left(worker):
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(worker.status(kind), 16) == 0, kind


def test_only_the_channels_are_open(worker):
    descriptors = worker.descriptors()
    assert set(descriptors) <= {3, 4}
    assert all(target.startswith("socket:") for target in descriptors.values())


def test_no_file_is_mapped_but_the_interpreter_its_libraries_and_images(worker):
    files = worker.mapped_files()
    assert not [name for name in files if not ALLOWED_FILES.fullmatch(name)]
    assert any(name.startswith("/memfd:") for name in files)


def test_nothing_is_mapped_writable_and_executable(worker):
    with open(f"/proc/{worker.pid}/maps", encoding="ascii") as maps:
        assert not [line for line in maps if line.split()[1].startswith("rwx")]


@pytest.mark.parametrize("kind", ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"])
def test_the_namespace_is_not_the_hosts(node, worker, kind):
    def namespace(pid):
        return os.readlink(f"/proc/{pid}/ns/{kind}")

    assert namespace(worker.pid) != namespace(node.keeper.pid)


def test_the_root_is_empty_and_read_only(worker):
    assert os.listdir(f"/proc/{worker.pid}/root/") == []
    with open(f"/proc/{worker.pid}/mountinfo", encoding="ascii") as mounts:
        lines = mounts.read().splitlines()
    assert len(lines) == 1
    assert lines[0].split()[5].split(",")[0] == "ro"


def test_limits_are_set(worker):
    limits = {}
    with open(f"/proc/{worker.pid}/limits", encoding="ascii") as file:
        for line in file:
            limits[line[:26].strip()] = line[26:].split()[:2]
    assert limits["Max open files"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert "unlimited" not in limits["Max data size"]
    assert "unlimited" not in limits["Max address space"]


def test_it_leads_its_own_session(worker):
    with open(f"/proc/{worker.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    assert int(fields[3]) == worker.pid


def test_its_environment_tells_nothing_of_the_hosts(worker):
    with open(f"/proc/{worker.pid}/environ", "rb") as environ:
        names = {
            entry.split(b"=")[0] for entry in environ.read().strip(b"\0").split(b"\0") if entry
        }
    assert not names & {b"HOME", b"PATH", b"USER", b"PWD", b"SHELL", b"CLOISTER_SOCKET"}


def test_two_workers_run_as_two_users(node, worker, tmp_path):
    if node.user != "root":
        pytest.skip("only root has user ids to give")
    node.deploy(apps.write_app(tmp_path), "demo/other-walls")
    (other,) = node.workers("demo/other-walls")
    uids = [one.status("Uid").split()[0] for one in (worker, other)]
    assert uids[0] != uids[1]
    assert node.keeper.status("Uid").split()[0] not in uids


def test_the_front_end_has_no_privilege(node):
    process = node.process("node")
    assert int(process.status("CapEff"), 16) == 0
    assert process.status("NoNewPrivs") == "1"
    if node.user == "root":
        assert process.status("Uid").split()[0] not in ("0", "65534")


def test_the_policy_can_be_read(node):
    printed = node.run_daemon("--print-policy")
    assert printed.returncode == 0, printed.stderr
    allowed = [line for line in printed.stdout.splitlines() if line.startswith("allow ")]
    assert len(allowed) == 25
    assert all("#" in line for line in allowed)


def test_what_the_worker_tries_is_refused_and_told(node, tmp_path):
    source = """
import os, socket
def application(environ, start_response):
    outcome = []
    for attempt in (lambda: socket.socket(), lambda: os.fork(), lambda: os.open("/etc/passwd", 0),
                    lambda: os.kill(1, 0), lambda: os.execv("/bin/sh", ["sh"])):
        try:
            attempt()
            outcome.append("DONE")
        except OSError as error:
            outcome.append(type(error).__name__)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(outcome).encode()]
"""
    node.deploy(apps.write_app(tmp_path, source), "demo/tries")
    answer = node.http("demo/tries")
    assert b"DONE" not in answer.body
    told = wait_until(
        lambda: [event for event in node.events("demo/tries") if event["source"] == "runtime"],
        "the tenant's log tells of it",
    )
    assert any("socket" in event["text"] for event in told)
