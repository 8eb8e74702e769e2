"""The keeper and its processes without an interpreter and without a real node: every signal to
every process, in every order. The zygote and all walls are real."""

import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile
import threading

import pytest
import raw_http
from fake_daemon import Daemon, cgroups_of
from processes import Process, running_from
from waiting import wait_until

ROLES = ("node", "zygote", "worker")
ALL = ("keeper", *ROLES)
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "hup": signal.SIGHUP}


@pytest.fixture(scope="module")
def programs(request):
    """cloisterd beside the stand-ins, where every user may run them."""
    build = pathlib.Path(request.config.getoption("--build"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-fake-"))
    folder.chmod(0o755)
    for source in (
        build / "bin/cloisterd",
        build / "fake/cloister-node",
        build / "fake/cloister-zygote",
    ):
        shutil.copy(source, folder)
    yield folder
    left = running_from(folder)
    shutil.rmtree(folder)
    assert not left, f"left behind: {[process.command() for process in left]}"


@pytest.fixture
def make_daemon(programs, user):
    made = []

    def make():
        made.append(Daemon(programs, user))
        return made[-1]

    yield make
    problems = []
    for daemon in made:
        try:
            daemon.remove()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems


@pytest.fixture
def daemon(make_daemon):
    return make_daemon().start()


# --- it runs, and each process is what it should be


def test_a_request_is_answered_by_a_confined_worker(daemon):
    worker = Process.of(daemon.ask()["worker"])
    assert worker.status("Seccomp") == "2"
    assert worker.status("CapEff") == "0000000000000000"
    assert worker.status("NoNewPrivs") == "1"
    if os.geteuid() == 0:
        assert list(worker.descriptors()) == [3]


def test_no_process_has_more_privilege_than_its_work_needs(daemon):
    (node,) = daemon.processes("node")
    (zygote,) = daemon.processes("zygote")
    assert node.status("CapEff") == node.status("CapPrm") == "0000000000000000"
    set_ids = 1 << 6 | 1 << 7
    assert int(zygote.status("CapPrm"), 16) == (set_ids if daemon.user == "root" else 0)
    assert {p.status("NoNewPrivs") for p in (node, zygote)} == {"1"}

    def uids():
        return {p.status("Uid").split()[0] for p in [node, zygote, *daemon.processes("worker")]}

    # A blank under way has its zygote's id still.
    wait_until(lambda: len(daemon.processes("worker")) >= 3, "a worker and two blanks")
    if daemon.user == "root":
        wait_until(lambda: len(uids()) == 5, "each process has an id of its own")
        assert "0" not in uids()
    else:
        assert len(uids()) == 1


def test_only_the_node_has_a_network(daemon):
    def network(process):
        return os.readlink(f"/proc/{process.pid}/ns/net")

    (zygote,) = daemon.processes("zygote")
    own = os.readlink("/proc/self/ns/net")
    assert {network(process) for process in daemon.processes("node")} == {own}
    assert network(zygote) != own
    assert {network(process) for process in daemon.processes("worker")} == {network(zygote)}


def test_the_worker_is_in_its_apps_cgroup(daemon):
    answer = daemon.ask()
    if answer["cgroups"] == "none":
        assert "cgroups_missing" in daemon.log()
        return
    text = pathlib.Path(f"/proc/{answer['worker']}/cgroup").read_text()
    assert text.count(f"/cloister-{daemon.pid}/app-1") >= 1
    memory = [folder for folder in cgroups_of(daemon.pid) if "memory" in folder]
    if memory:
        limit = pathlib.Path(memory[0], "app-1/memory.limit_in_bytes").read_text()
        assert int(limit) == 256 << 20


def test_the_node_is_beside_its_apps_and_comes_before_them(daemon):
    daemon.ask()
    shares = [
        pathlib.Path(folder, "node/cpu.shares")
        for folder in cgroups_of(daemon.pid)
        if pathlib.Path(folder, "node/cpu.shares").exists()
    ]
    if not shares:
        pytest.skip("no cpu controller of version 1")
    (node,) = daemon.processes("node")
    assert shares[0].read_text() == "10240\n"
    assert shares[0].with_name("cgroup.procs").read_text() == f"{node.pid}\n"
    assert shares[0].parent.with_name("app-1").joinpath("cpu.shares").read_text() == "1024\n"


def test_root_of_a_container_that_maps_one_uid(make_daemon):
    daemon = make_daemon()
    daemon.launcher = ["unshare", "--user", "--map-root-user"]
    daemon.start()
    assert "worker_uids_missing" in daemon.log()
    (node,) = daemon.processes("node")
    (zygote,) = daemon.processes("zygote")
    assert int(node.status("CapPrm"), 16) == 0
    assert int(zygote.status("CapPrm"), 16) == 1 << 31  # CAP_SETFCAP, to map uid 0
    assert Process.of(daemon.ask()["worker"]).status("CapEff") == "0000000000000000"
    assert daemon.stop() == 0
    assert not cgroups_of(daemon.pid)


# --- SIGKILL, SIGSTOP and SIGHUP, every process, every order


@pytest.mark.parametrize("order", itertools.permutations(ROLES), ids="-".join)
def test_killed_in_every_order(daemon, order):
    for role in order:
        daemon.signal(role, signal.SIGKILL)
    daemon.wait_whole()


@pytest.mark.parametrize("order", itertools.permutations(ROLES), ids="-".join)
def test_killed_one_after_the_other_was_replaced(daemon, order):
    for role in order:
        old = daemon.processes(role)
        daemon.signal(role, signal.SIGKILL)
        wait_until(lambda old=old: not any(p.is_alive() for p in old), "they are gone")
        daemon.wait_whole()


@pytest.mark.parametrize("order", itertools.permutations(ALL, 2), ids="-".join)
def test_stopped_and_continued_in_every_order(daemon, order):
    daemon.ask()
    for role in order:
        daemon.signal(role, signal.SIGSTOP)
    for role in order:
        daemon.signal(role, signal.SIGCONT)
    daemon.wait_whole()


@pytest.mark.parametrize("pair", itertools.permutations(SIGNALS, 2), ids="-".join)
@pytest.mark.parametrize("role", ROLES)
def test_two_signals_to_one_process(daemon, role, pair):
    """What was stopped is continued in the end; SIGHUP is the keeper's, and kills the others."""
    for name in pair:
        daemon.signal(role, SIGNALS[name])
    daemon.signal(role, signal.SIGCONT)
    daemon.wait_whole()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
def test_a_reload_while_another_process_is_signalled(daemon, role, number):
    before = daemon.ask()["generation"]
    daemon.signal("keeper", signal.SIGSTOP)
    daemon.signal(role, number)
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.signal("keeper", signal.SIGCONT)
    daemon.signal(role, signal.SIGCONT)
    daemon.wait_whole()
    wait_until(lambda: daemon.ask()["generation"] > before, "a newer node serves")


@pytest.mark.parametrize("stopped", [(), *((role,) for role in ROLES), ROLES],
                         ids=lambda roles: "-".join(roles) or "none")
def test_the_keepers_death_ends_everything_even_what_is_stopped(daemon, stopped):
    daemon.wait_whole()
    for role in stopped:
        daemon.signal(role, signal.SIGSTOP)
    daemon.kill()
    daemon.start()
    daemon.wait_whole()


def test_a_killed_keepers_cgroups_are_removed_by_the_next(daemon):
    killed = daemon.pid
    daemon.kill()
    daemon.start()
    assert not cgroups_of(killed)


@pytest.mark.parametrize("stopped", ROLES)
def test_a_stopped_process_does_not_keep_the_daemon_from_stopping(daemon, stopped):
    daemon.settings["node"]["stop_grace"] = "100ms"
    daemon.write_settings()
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: (daemon.ask() or {}).get("generation") == 2, "the new node serves")
    daemon.wait_whole()
    daemon.signal(stopped, signal.SIGSTOP)
    assert daemon.stop() == 0


def test_a_second_sigterm_ends_at_once(daemon):
    left = running_from(daemon.programs)
    daemon.signal("node", signal.SIGSTOP)
    daemon.popen.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in daemon.log(), "the first was heard")
    daemon.popen.send_signal(signal.SIGTERM)
    assert daemon.popen.wait(3) == 0
    assert not any(process.is_alive() for process in left)
    daemon.popen = None


def test_a_zygotes_death_ends_no_worker(daemon):
    worker = daemon.ask()["worker"]
    daemon.signal("zygote", signal.SIGKILL)
    daemon.wait_whole()
    assert daemon.ask()["worker"] == worker


def test_a_nodes_death_ends_its_workers(daemon):
    old = daemon.processes("worker")
    daemon.signal("node", signal.SIGKILL)
    wait_until(lambda: not any(process.is_alive() for process in old), "they are gone")
    daemon.wait_whole()


def test_zygotes_take_turns(make_daemon):
    daemon = make_daemon()
    daemon.settings["workers"] = {"zygote_spawns_max": 10}
    daemon.start()
    (first,) = daemon.processes("zygote")
    seen = set()
    while first.is_alive():
        worker = wait_until(daemon.answers, "the node answers")["worker"]
        seen.add(worker)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda worker=worker: Process.of(worker) is None, "it is gone")
        assert len(seen) < 30, "the zygote stays"
    daemon.wait_whole()
    assert "zygote_rotated" in daemon.log()


def test_a_node_that_loses_only_its_socket_to_the_zygote_gets_another(daemon):
    (zygote,) = daemon.processes("zygote")
    with daemon.connect() as client:
        client.request(target="/lose-zygote")
    wait_until(lambda: "node_refused" in daemon.log(), "the zygote hung up")
    for _ in range(4):  # more than there are blanks
        worker = wait_until(daemon.answers, "the node answers")["worker"]
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda worker=worker: Process.of(worker) is None, "it is gone")
    daemon.wait_whole()
    assert daemon.processes("zygote") == [zygote]


@pytest.fixture
def few_uids(make_daemon):
    """A daemon, not started, with 16 user ids for workers."""
    daemon = make_daemon()
    if daemon.user != "root":
        pytest.skip("only root has user ids to give")
    daemon.settings["node"]["uid_count"] = 32
    return daemon


def uids_of(processes):
    return [int(uid.split()[0]) for process in processes if (uid := process.status("Uid"))]


def test_workers_of_many_zygotes_have_different_uids(few_uids):
    few_uids.settings["workers"] = {"zygote_spawns_max": 1}
    worker = few_uids.start().ask()["worker"]
    zygotes = set()
    for _ in range(20):  # more than there are uids
        zygotes.update(few_uids.processes("zygote"))
        blank = next(p for p in few_uids.processes("worker") if p.pid != worker)
        os.kill(blank.pid, signal.SIGKILL)
        wait_until(lambda blank=blank: not blank.is_alive(), "it is gone")
        few_uids.wait_whole()
        assert len(set(uids_of(few_uids.processes("worker")))) == 3
    assert few_uids.ask()["worker"] == worker
    assert len(zygotes) > 3
    assert "worker_uids_exhausted" not in few_uids.log()


def test_a_node_whose_uids_are_all_in_use_makes_no_worker_until_one_is_free(few_uids):
    few_uids.start()
    zygote_uid = uids_of(few_uids.processes("zygote"))[0]

    def all_uids():
        """Sorted, when each of them has a worker."""
        uids = sorted(set(uids_of(few_uids.processes("worker"))) - {zygote_uid})
        return uids if len(uids) == 16 else None

    with few_uids.connect() as client:
        client.request(target="/many-blanks")
    wait_until(lambda: "every user id for workers is in use" in few_uids.log(), few_uids.log)
    assert "worker_uids_exhausted" in few_uids.log()
    uids = wait_until(all_uids, "each has a worker")
    assert len(few_uids.processes("worker")) == 16
    killed = few_uids.processes("worker")[0]
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: not killed.is_alive(), "it is gone")
    assert wait_until(all_uids, "another one has its uid") == uids


# --- a reload loses nothing


def test_reloads_under_load_refuse_and_reset_nothing(daemon):
    stop, problems, generations, counts = threading.Event(), [], set(), []

    def note(answer):
        generations.add(json.loads(answer.body)["generation"])
        counts.append(answer.status)

    def kept_alive():
        with daemon.connect() as client:
            while not stop.is_set():
                note(client.request())

    def always_new():
        while not stop.is_set():
            note(raw_http.request(("127.0.0.1", daemon.port), "GET", "/", "localhost"))

    def guarded(load):
        try:
            load()
        except Exception as problem:  # a thread's failure is the test's
            problems.append(repr(problem))

    threads = [
        threading.Thread(target=guarded, args=(load,)) for load in (kept_alive, always_new) * 3
    ]
    for thread in threads:
        thread.start()
    for expected in range(2, 12):
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(
            lambda e=expected: e in generations or problems,
            lambda: f"{expected} answers {problems}",
        )
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems
    assert set(counts) == {200}
    assert generations >= set(range(2, 12))
    daemon.wait_whole()


def test_idle_connections_move_to_the_new_node(daemon):
    with daemon.connect() as client:
        assert json.loads(client.request().body)["generation"] == 1
        (old,) = daemon.processes("node")
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: not old.is_alive(), "the old node is gone")
        assert json.loads(client.request().body)["generation"] == 2


def test_what_has_arrived_of_a_request_moves_with_its_connection(daemon):
    with daemon.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert daemon.ask()["generation"] == 1
        (old,) = daemon.processes("node")
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: not old.is_alive(), "the old node is gone")
        client.send(b"\r\n")
        assert json.loads(client.read_response().body)["generation"] == 2


def test_a_replaced_node_may_take_its_time_to_end(daemon):
    (daemon.state / "fake.slow_end").touch()
    (old,) = daemon.processes("node")
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: "node_exited generation=1 " in daemon.log(), daemon.log)
    assert f"info cloisterd node_exited generation=1 pid={old.pid} status=0" in daemon.log()


def test_connections_wait_for_a_successor_that_ends_before_it_serves(daemon):
    with daemon.connect() as client:
        assert json.loads(client.request().body)["generation"] == 1
        # The next one cannot lock this when it gets the role, and ends.
        lock = daemon.state / "fake.writer"
        lock.unlink()
        lock.mkdir()
        (old,) = daemon.processes("node")
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: "phase=taking" in daemon.log(), daemon.log)
        wait_until(lambda: not old.is_alive(), "the old node is gone")
        lock.rmdir()
        assert json.loads(client.request().body)["generation"] > 2


def test_a_new_node_that_cannot_run_leaves_the_old_one(daemon):
    before = daemon.ask()
    program = daemon.programs / "cloister-node"
    kept = program.read_bytes()
    program.unlink()
    program.write_text("#!/bin/false\n")
    program.chmod(0o755)
    try:
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: "reload_failed" in daemon.log(), "the keeper says so")
    finally:
        program.unlink()
        program.write_bytes(kept)
        program.chmod(0o755)
    assert daemon.ask()["node"] == before["node"]
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: daemon.ask()["node"] != before["node"], "a good one follows")


def test_a_reload_of_bad_settings_changes_nothing(daemon):
    before = daemon.ask()
    daemon.write_settings("[node]\nstate_dri = 'x'\n")
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: "reload_failed" in daemon.log(), "the keeper says so")
    assert "state_dri" in daemon.log()
    assert daemon.ask()["node"] == before["node"]


@pytest.mark.parametrize("role, number", [("keeper", signal.SIGHUP), ("node", signal.SIGKILL)])
def test_a_node_that_hangs_while_it_opens_the_state_is_replaced(make_daemon, role, number):
    daemon = make_daemon()
    daemon.settings["node"]["open_timeout"] = "1s"
    daemon.start()
    (daemon.state / "fake.hang").touch()
    daemon.signal(role, number)
    wait_until(lambda: "node_stuck" in daemon.log(), "it is found out")
    daemon.wait_whole()
    assert daemon.ask()["generation"] == 3


def test_at_most_four_nodes_at_a_time(daemon):
    with Uploads() as clients:
        for generation in range(1, 5):
            wait_until(lambda g=generation: daemon.ask()["generation"] == g, "it serves")
            clients.begin(daemon)
            os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: "reload_refused" in daemon.log(), daemon.log)
        assert len(daemon.processes("node")) == 4
        assert daemon.ask()["generation"] == 4
    wait_until(lambda: len(daemon.processes("node")) == 1, "the older ones are gone")


class Uploads:
    """Connections with a request whose body does not end, so that their node must wait for them."""

    def __init__(self):
        self.clients = []

    def begin(self, daemon):
        client = daemon.connect()
        self.clients.append(client)
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n")
        # Accepted in order: when this later one was answered, the node has that one too.
        assert daemon.ask()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()


# --- what refuses the start


def test_a_second_daemon_on_the_same_state_directory(daemon):
    second = daemon.run("--state-dir", daemon.state, "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    assert f"process id {daemon.pid}" in second.stderr
    assert "--state-dir" in second.stderr
    assert daemon.ask()


def test_a_port_in_use(make_daemon):
    daemon = make_daemon()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = daemon.run("--state-dir", daemon.state, "--listen", address)
    assert ended.returncode == 1
    assert address in ended.stderr and "in use" in ended.stderr and "--listen" in ended.stderr


def test_a_stale_admin_socket_is_replaced_and_a_live_one_is_not(make_daemon):
    daemon = make_daemon()
    daemon.folder.chmod(0o777)
    path = daemon.folder / "admin.sock"
    daemon.settings["admin"] = {"socket": str(path)}
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        os.chmod(path, 0o777)
        daemon.write_settings()
        ended = daemon.run("--config", daemon.folder / "cloisterd.toml")
        assert ended.returncode == 1 and f"listens on {path}" in ended.stderr
    daemon.start()
    assert path.is_socket()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--no-such-flag"], ["--no-such-flag", "--help"]),
        (["--listen"], ["--listen needs a value"]),
    ],
)
def test_wrong_usage(make_daemon, arguments, words):
    ended = make_daemon().run(*arguments)
    assert ended.returncode == 2
    assert all(word in ended.stderr for word in words)


@pytest.mark.parametrize("flag", ["--check-config", "--print-settings"])
def test_bad_settings_are_told_with_file_and_line(make_daemon, flag):
    daemon = make_daemon()
    daemon.write_settings("[node]\nstate_dri = '/tmp'\n")
    ended = daemon.run("--config", daemon.folder / "cloisterd.toml", flag)
    assert ended.returncode == 1
    assert "cloisterd.toml:2" in ended.stderr and "state_dir" in ended.stderr


def test_what_it_prints(make_daemon):
    daemon = make_daemon()
    daemon.write_settings()
    config = daemon.folder / "cloisterd.toml"
    assert daemon.run("--config", config, "--check-config").returncode == 0
    printed = daemon.run("--config", config, "--print-settings").stdout
    assert f"127.0.0.1:{daemon.port}" in printed
    (daemon.folder / "again.toml").write_text(printed)
    assert (
        daemon.run("--config", daemon.folder / "again.toml", "--print-settings").stdout == printed
    )
    assert daemon.run("--print-policy").stdout.startswith("allow ")
    assert "--state-dir" in daemon.run("--help").stdout
    assert daemon.run("--version").stdout.startswith("cloisterd ")


def test_what_is_required_and_missing_refuses_the_start(make_daemon):
    daemon = make_daemon()
    if daemon.user == "root":
        pytest.skip("root has all that can be required here")
    daemon.settings["node"]["require"] = ["worker_uids"]
    daemon.write_settings()
    ended = daemon.run("--config", daemon.folder / "cloisterd.toml")
    assert ended.returncode == 1 and "worker_uids" in ended.stderr


@pytest.mark.parametrize("program", ["cloister-node", "cloister-zygote"])
def test_a_program_that_cannot_run_ends_the_start(make_daemon, program):
    daemon = make_daemon()
    path = daemon.programs / program
    kept = path.read_bytes()
    path.unlink()
    path.write_text("#!/bin/false\n")
    path.chmod(0o755)
    try:
        daemon.write_settings()
        ended = daemon.run("--config", daemon.folder / "cloisterd.toml")
    finally:
        path.unlink()
        path.write_bytes(kept)
        path.chmod(0o755)
    assert ended.returncode == 1
    assert "as soon as it is started" in ended.stderr
