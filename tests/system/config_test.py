"""The config of apps: changed under load, checked before it is in force, and kept to itself."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import termios

import apps
import pytest
from load import Load, one_by_one, pipelined
from node import IDS, Node, host_of
from waiting import wait_until

SECRET = "correct-horse-battery-staple"

# Answers what ANSWER says; fails to boot when BOOT is "no", and to answer when ANSWER is "fail".
SOURCE = """
import os
import cloister

if cloister.config.get("BOOT") == "no":
    raise RuntimeError("BOOT is " + cloister.config["BOOT"] + " and TOKEN "
                       + cloister.config.get("TOKEN", "none"))

def application(environ, start_response):
    answer = cloister.config.get("ANSWER", "old!")
    assert answer == os.environ.get("ANSWER", "old!")
    if answer == "fail":
        raise ValueError("no answer; TOKEN is " + cloister.config.get("TOKEN", "none"))
    if environ["PATH_INFO"] == "/say":
        print("TOKEN is", cloister.config.get("TOKEN", "none"))
    if environ["PATH_INFO"] == "/token":
        answer = cloister.config.get("TOKEN", "none")
    body = answer.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

LIVE = """
import os
import cloister
from cloister import config

calls = []

@config.on_change
def changed(names):
    calls.append(",".join(sorted(names)))
    if config.get("CALLBACK") == "fails":
        raise ValueError("the callback fails")

def application(environ, start_response):
    body = "|".join([str(os.environ.get("ANSWER")), config.get("ANSWER", "none"),
                     " ".join(calls)]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def set_secret(node, app, name, value, check=True, arguments=(), more=()):
    done = subprocess.run(
        [*node.as_user(), node.bin / "cloister", "--socket", node.socket, *arguments]
        + ["secrets", "set", app, name, *more],
        input=value,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def values_of(node, app):
    return {
        row["name"]: "(secret)" if row["secret"] else row["value"]
        for row in node.json("config", "list", app)["values"]
    }


@pytest.fixture
def app(node, tmp_path, request):
    name = "cfg/" + re.sub("[^a-z0-9]", "", request.node.name.lower())[4:30]
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), name)
    return name


def test_a_change_swaps_under_load_without_a_lost_request(node, tmp_path):
    app = "cfg/loaded"
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), app)
    with Load(node, app, [one_by_one, pipelined] * 4) as load:
        load.wait_for_more()
        said = node.cli("config", "set", app, "ANSWER=new!").stdout
        wait_until(lambda: load.new_seen, "the new config answers")
        load.wait_for_more()
    assert not load.problems
    assert re.search(r"config booted +✓.*\n.*config checked +✓.*\n.*config live +✓", said)
    assert "cfg/loaded: config 1 is in force after" in said
    # The same release all the time.
    (release,) = node.json("releases", app)["releases"]
    assert (release["state"], release["version"]) == ("live", "1.0.0")


def test_a_bad_value_never_goes_live(node, app):
    node.cli("config", "set", app, "ANSWER=good")
    set_secret(node, app, "TOKEN", SECRET)
    answers = []
    load = Load(node, app, [one_by_one])
    # Before the clients begin: they know of other answers.
    load._note = lambda kind, began, response: answers.append(response.body)
    with load:
        for word, code in (("BOOT=no", "app_raised"), ("ANSWER=fail", "check_failed")):
            done = node.cli("config", "set", app, word, check=False)
            assert done.returncode == 3
            assert f"error[{code}]" in done.stderr
            assert "The former config serves on." in done.stderr
            assert SECRET not in done.stdout + done.stderr
            if code == "app_raised":
                says = r"main\.py:6: .*BOOT is no and TOKEN \[secret TOKEN\]"
                assert re.search(says, done.stderr)
    assert not load.problems
    assert set(answers) == {b"good"}
    assert node.http(app).body == b"good"
    assert values_of(node, app) == {"ANSWER": "good", "TOKEN": "(secret)"}
    history = node.json("config", "history", app)["versions"]
    assert [row["state"] for row in history] == ["failed", "failed", "in_force", "former"]
    assert history[1]["report"]["code"] == "app_raised"
    assert history[1]["report"]["line"] == 6
    assert SECRET not in json.dumps(history)


def test_a_secret_is_seen_by_its_app_alone(node, app):
    set_secret(node, app, "TOKEN", SECRET + "\n")
    assert node.http(app, "/token").body.decode() == SECRET
    node.http(app, "/say")
    wait_until(lambda: "[secret TOKEN]" in node.cli("logs", app).stdout, "it is in the log")
    (event,) = [one for one in node.events(app) if one["text"].startswith("TOKEN is")]
    assert event["redacted"] is True
    assert event["text"].strip() == "TOKEN is [secret TOKEN]"
    for words in (
        ("config", "list", app),
        ("secrets", "list", app),
        ("config", "history", app),
        ("releases", app),
        ("logs", app),
        ("ps", app),
        ("quota", "show", app),
        ("apps", "info", app),
    ):
        for json_flag in ((), ("--json",)):
            done = node.cli(*json_flag, *words)
            assert SECRET not in done.stdout + done.stderr, words
    listed = node.cli("config", "list", app).stdout
    assert re.search(r"^TOKEN +\(secret\) +\d{4}-", listed, re.M)
    assert SECRET not in node.log()
    for path in pathlib.Path(node.state).rglob("*"):
        if path.is_file() and not path.is_socket():
            assert SECRET.encode() not in path.read_bytes(), path


def test_the_value_of_a_secret_is_not_taken_from_the_command_line(node, app):
    done = node.cli("secrets", "set", app, f"TOKEN={SECRET}", check=False)
    assert done.returncode == 2
    assert SECRET not in done.stderr
    assert set_secret(node, app, "TOKEN", "", check=False).returncode == 2


def test_another_app_has_none_of_it(node, app, tmp_path):
    other = "cfg/other"
    node.deploy(apps.write_app(tmp_path / "other", SOURCE, name="other"), other)
    set_secret(node, app, "TOKEN", SECRET)
    node.cli("config", "set", app, "ANSWER=mine")
    assert values_of(node, other) == {}
    assert node.http(other).body == b"old!"
    assert node.http(other, "/token").body == b"none"
    assert SECRET not in node.cli("--json", "config", "history", other).stdout


def test_history_and_rollback(node, app):
    node.cli("config", "set", app, "ANSWER=one", "SIZE=1")
    set_secret(node, app, "TOKEN", SECRET)
    node.cli("config", "set", app, "ANSWER=two")
    node.cli("config", "unset", app, "SIZE")
    assert values_of(node, app) == {"ANSWER": "two", "TOKEN": "(secret)"}
    said = node.cli("config", "rollback", app, "1").stdout
    assert "with the plain values of config 1; changed: ANSWER, SIZE; secrets stay" in said
    assert values_of(node, app) == {"ANSWER": "one", "SIZE": "1", "TOKEN": "(secret)"}
    assert node.http(app).body == b"one"
    assert node.http(app, "/token").body.decode() == SECRET
    # A secret that was unset never comes back.
    node.cli("secrets", "unset", app, "TOKEN")
    node.cli("config", "set", app, "MORE=1")
    assert "gone: MORE;" in node.cli("config", "rollback", app, "2").stdout
    assert values_of(node, app) == {"ANSWER": "one", "SIZE": "1"}
    assert node.http(app, "/token").body == b"none"
    history = node.json("config", "history", app)["versions"]
    assert [row["version"] for row in history] == list(range(len(history), 0, -1))
    assert history[-1]["action"] == "set"
    assert history[-1]["created_by"]
    done = node.cli("config", "rollback", app, "77", check=False)
    assert (done.returncode, "config_version_not_found" in done.stderr) == (1, True)


def test_nothing_changes_when_nothing_changes(node, app):
    node.cli("config", "set", app, "ANSWER=same")
    # The workers of the former config end when they have nothing to do.
    (worker,) = wait_until(
        lambda: len(workers := node.workers(app)) == 1 and workers, "one worker is left"
    )
    assert "nothing changes" in node.cli("config", "set", app, "ANSWER=same").stdout
    assert node.workers(app) == [worker]
    assert len(node.json("config", "history", app)["versions"]) == 1


def test_a_rollback_of_the_release_takes_its_plain_config_along(node, app, tmp_path):
    node.cli("config", "set", app, "ANSWER=first")
    set_secret(node, app, "TOKEN", SECRET)
    node.deploy(apps.write_app(tmp_path / "2", SOURCE, "2.0.0"), app)
    node.cli("config", "set", app, "ANSWER=second")
    set_secret(node, app, "TOKEN", "another-secret-value")
    said = node.cli("rollback", app).stdout
    assert re.search(r"with the plain values of config 2 \(ANSWER\); secrets stay", said)
    assert node.http(app).body == b"first"
    assert node.http(app, "/token").body == b"another-secret-value"
    assert values_of(node, app)["ANSWER"] == "first"
    # And forth again, by the same rule.
    node.cli("rollback", app)
    assert node.http(app).body == b"second"
    node.cli("promote", app, "1.0.0")
    assert node.http(app).body == b"second"


def test_what_is_required(node, tmp_path):
    app = "cfg/required"
    extra = '\n[config]\nrequired = ["ANSWER", "TOKEN"]\n'
    folder = apps.write_app(tmp_path / "app", SOURCE, extra=extra)
    refused = node.deploy(folder, app, check=False)
    assert refused.returncode == 3
    assert "error[config_missing]" in refused.stderr
    assert "cloister config set cfg/required ANSWER=" in refused.stderr
    assert "ANSWER, TOKEN" in refused.stderr
    # Nothing is live: it is just stored.
    assert "config 1 is in force" in node.cli("config", "set", app, "ANSWER=yes").stdout
    set_secret(node, app, "TOKEN", SECRET)
    node.deploy(folder, app)
    assert node.http(app).body == b"yes"
    for words in (("config", "unset", app, "ANSWER"), ("secrets", "unset", app, "TOKEN")):
        done = node.cli(*words, check=False)
        assert (done.returncode, "error[config_required]" in done.stderr) == (3, True)
    assert node.http(app).body == b"yes"


def test_quotas_at_their_limits(node, app):
    node.cli("quota", "set", app, "config.keys=3", "config.bytes=1KiB")
    node.cli("config", "set", app, "A=1", "B=2")
    node.cli("config", "set", app, "C=3")
    done = node.cli("config", "set", app, "D=4", check=False)
    assert (done.returncode, "error[config_full]" in done.stderr) == (3, True)
    assert "config.keys allows 3" in done.stderr
    # Names and values: A=1 and B=2 are 4 bytes, and C itself one.
    node.cli("config", "set", app, "C=" + "x" * (1024 - 5))
    shown = {row["name"]: row for row in node.json("quota", "show", app)["quotas"]}
    assert (shown["config.keys"]["used"], shown["config.bytes"]["used"]) == (3, 1024)
    done = node.cli("config", "set", app, "C=" + "x" * (1024 - 4), check=False)
    assert (done.returncode, "config.bytes allows 1024" in done.stderr) == (3, True)
    node.cli("config", "set", app, "C=" + "x" * (1024 - 6))
    # A lower quota stands in nobody's way to less.
    node.cli("quota", "set", app, "config.keys=1")
    node.cli("config", "unset", app, "C")
    assert values_of(node, app) == {"A": "1", "B": "2"}


def test_what_is_wrong_is_said_and_changes_nothing(node, app):
    node.cli("config", "set", app, "ANSWER=fine")
    set_secret(node, app, "TOKEN", SECRET)
    before = node.json("config", "list", app)
    for words, code, exit_code in (
        (("config", "set", app, "ANSWER"), "usage", 2),
        (("config", "set", app, "A-B=1"), "config_invalid", 2),
        (("config", "set", app, "PYTHONPATH=/x"), "config_invalid", 2),
        (("config", "set", app, "A=1", "A=2"), "config_invalid", 2),
        (("config", "set", app, "TOKEN=plain"), "config_kind", 3),
        (("config", "unset", app, "TOKEN"), "config_kind", 3),
        (("secrets", "unset", app, "ANSWER"), "config_kind", 3),
        (("config", "unset", app, "NONE"), "config_key_not_found", 1),
        (("config", "rollback", app, "x"), "usage", 2),
        (("config", "list", "cfg/nobody"), "app_not_found", 1),
    ):
        done = node.cli("--json", *words, check=False)
        assert done.returncode == exit_code, (words, done.stdout)
        assert f'"{code}"' in done.stdout, (words, done.stdout)
    assert node.json("config", "list", app) == before


def test_live_reload_reaches_the_next_request_of_the_same_worker(node, tmp_path):
    app = "cfg/live"
    node.deploy(apps.write_app(tmp_path / "app", LIVE, extra='\n[config]\nreload = "live"\n'), app)
    assert node.http(app).body == b"None|none|"
    (worker,) = node.workers(app)
    node.cli("config", "set", app, "ANSWER=one")
    assert node.http(app).body == b"one|one|ANSWER"
    node.cli("config", "set", app, "ANSWER=two", "CALLBACK=fails")
    assert node.http(app).body == b"two|two|ANSWER ANSWER,CALLBACK"
    node.cli("config", "unset", app, "ANSWER", "CALLBACK")
    assert node.http(app).body == b"None|none|ANSWER ANSWER,CALLBACK ANSWER,CALLBACK"
    assert node.workers(app) == [worker]
    wait_until(
        lambda: "the callback fails" in node.cli("logs", app).stdout, "the failure is in the log"
    )
    # Workers that come later have it as well.
    os.kill(worker.pid, signal.SIGKILL)
    node.cli("config", "set", app, "ANSWER=three")
    wait_until(lambda: node.http(app).body.startswith(b"three|three"), "a new worker answers")


def test_what_was_acknowledged_outlives_kill_9(own_node, tmp_path):
    app = "cfg/kept"
    own_node.deploy(apps.write_app(tmp_path / "app", SOURCE), app)
    own_node.cli("config", "set", app, "ANSWER=kept")
    set_secret(own_node, app, "TOKEN", SECRET)
    for number in range(3):
        own_node.cli("config", "set", app, f"ANSWER=kept {number}", "--no-wait")
        own_node.kill()
        own_node.start()
        wait_until(
            lambda number=number: own_node.http(app).body == f"kept {number}".encode(),
            lambda: own_node.cli("config", "history", app).stdout,
        )
        assert own_node.http(app, "/token").body.decode() == SECRET
    own_node.restart()
    assert own_node.http(app).body == b"kept 2"


def test_what_failed_is_not_in_force_after_a_restart(own_node, tmp_path):
    app = "cfg/failed"
    own_node.deploy(apps.write_app(tmp_path / "app", SOURCE), app)
    own_node.cli("config", "set", app, "ANSWER=good")
    own_node.cli("config", "set", app, "ANSWER=fail", "--no-wait")
    own_node.kill()
    own_node.start()

    def settled():
        newest = own_node.json("config", "history", app)["versions"][0]
        return newest["state"] != "wanted" and newest

    newest = wait_until(settled, "the walk has ended")
    assert (newest["state"], newest["report"]["code"]) == ("failed", "check_failed")
    assert own_node.http(app).body == b"good"
    own_node.restart()
    assert own_node.http(app).body == b"good"


def test_a_node_without_its_key_says_which_and_serves_the_others(own_node, tmp_path):
    with_secret, without = "cfg/with", "cfg/without"
    for app in (with_secret, without):
        name = app.split("/")[1]
        own_node.deploy(apps.write_app(tmp_path / name, SOURCE, name=name), app)
        own_node.cli("config", "set", app, "ANSWER=here")
    set_secret(own_node, with_secret, "TOKEN", SECRET)
    key = pathlib.Path(own_node.state) / "node.key"
    assert key.stat().st_mode & 0o777 == 0o600
    content = key.read_bytes()
    owner = key.stat()
    assert own_node.stop() == 0
    key.unlink()
    own_node.start()
    assert own_node.http(without).body == b"here"
    assert own_node.http(with_secret).status == 503
    said = re.search(r"sealed with the node's key ([0-9a-f]{16}), and there is no", own_node.log())
    assert said, own_node.log()[-2000:]
    done = own_node.cli("config", "set", with_secret, "ANSWER=there", check=False)
    assert (done.returncode, "error[config_unreadable]" in done.stderr) == (3, True)
    assert "serves on" not in done.stderr and "in one command" in done.stderr
    # Another key is told from the right one.
    assert own_node.stop() == 0
    key.write_bytes(os.urandom(32))
    os.chown(key, owner.st_uid, owner.st_gid)
    key.chmod(0o600)
    own_node.start()
    assert own_node.http(with_secret).status == 503
    assert re.search(rf"key {said[1]}, and the key here is [0-9a-f]{{16}}", own_node.log())
    assert own_node.stop() == 0
    key.write_bytes(content)
    own_node.start()
    assert own_node.http(with_secret, "/token").body.decode() == SECRET


def test_after_the_loss_of_its_key_all_secrets_are_set_in_one_command(own_node, tmp_path):
    app = "cfg/lost"
    own_node.deploy(apps.write_app(tmp_path / "app", SOURCE), app)
    names = ["TOKEN", "OTHER"]
    for name in names:
        set_secret(own_node, app, name, SECRET)
    assert own_node.stop() == 0
    (pathlib.Path(own_node.state) / "node.key").unlink()
    own_node.start()
    assert own_node.http(app).status == 503
    alone = set_secret(own_node, app, "TOKEN", "the-new-token", check=False)
    assert (alone.returncode, "error[config_unreadable]" in alone.stderr) == (3, True)
    set_secret(own_node, app, names[0], "the-new-token\nanother-value\n", arguments=(),
               more=names[1:])
    assert own_node.http(app, "/token").body == b"the-new-token"


def test_the_key_may_be_a_credential_of_the_service_manager(installation, user, tmp_path):
    key = tmp_path / "credentials/cloister-node-key"
    key.parent.mkdir()
    key.write_bytes(os.urandom(32))
    key.chmod(0o400)
    if user in IDS:
        for path in (key, key.parent):
            os.chown(path, IDS[user], IDS[user])
    apps.open_to_all(apps.write_app(tmp_path / "app", SOURCE))
    launcher = ["env", f"CREDENTIALS_DIRECTORY={key.parent}"]
    node = Node(installation, user, launcher=launcher)
    try:
        node.start()
        node.deploy(tmp_path / "app", "cfg/credential")
        set_secret(node, "cfg/credential", "TOKEN", SECRET)
        assert not (pathlib.Path(node.state) / "node.key").exists()
        node.restart()
        assert node.http("cfg/credential", "/token").body.decode() == SECRET
    finally:
        node.remove()


def test_a_change_while_a_request_runs_lets_it_finish_on_the_former_config(node, tmp_path):
    app = "cfg/slow"
    source = SOURCE.replace(
        'if environ["PATH_INFO"] == "/say":',
        'if environ["PATH_INFO"] == "/slow":\n        import time\n        time.sleep(1.5)\n'
        '        assert cloister.config.get("ANSWER", "old!") == answer\n'
        '    if environ["PATH_INFO"] == "/say":',
    )
    node.deploy(apps.write_app(tmp_path / "app", source), app)
    with node.connect() as client:
        client.send(f"GET /slow HTTP/1.1\r\nHost: {host_of(app)}\r\n\r\n".encode())
        wait_until(
            lambda: any(row["state"] == "busy" for row in node.json("ps", app)["workers"]),
            "the request runs",
        )
        node.cli("config", "set", app, "ANSWER=after")
        assert node.http(app).body == b"after"
        assert client.read_response().body == b"old!"


def test_an_older_node_needs_no_secret_that_has_gone_meanwhile(own_node, tmp_path):
    app = "cfg/older"
    source = SOURCE.replace(
        'if environ["PATH_INFO"] == "/say":',
        'if environ["PATH_INFO"] == "/hold":\n        import threading\n'
        '        threading.Event().wait()\n    if environ["PATH_INFO"] == "/say":',
    )
    own_node.deploy(apps.write_app(tmp_path / "app", source, extra="[workers]\nmax = 1\n"), app)
    set_secret(own_node, app, "TOKEN", SECRET)
    host = f"HTTP/1.1\r\nHost: {host_of(app)}\r\n\r\n".encode()

    def requests():
        rows = own_node.json("quota", "show", app)["quotas"]
        names = ("limits.concurrent", "limits.queue")
        return sum(row["used"] for row in rows if row["name"] in names)

    def the_worker():
        wait_until(lambda: len(own_node.workers(app)) == 1, "no former one is there")
        return own_node.workers(app)[0]

    # After the third death in a row the pool waits for a while, without a worker.
    for _ in range(2):
        own_node.http(app)
        os.kill(the_worker().pid, signal.SIGKILL)
        wait_until(lambda: not own_node.workers(app), "it is gone")
    with own_node.connect() as holds, own_node.connect() as waits:
        holds.send(b"GET /hold " + host)
        wait_until(lambda: requests() == 1, "the first has the worker")
        waits.send(b"GET /token " + host)
        wait_until(lambda: requests() == 2, "the second waits behind it")
        worker = the_worker()
        os.kill(own_node.keeper.pid, signal.SIGHUP)
        wait_until(lambda: len(own_node.processes("node")) == 2, "the new one is there")
        set_secret(own_node, app, "TOKEN", "another-secret-value")
        assert own_node.http(app, "/token").body == b"another-secret-value"
        os.kill(worker.pid, signal.SIGKILL)
        assert holds.read_response().status == 502
        answer = waits.read_response()
        assert (answer.status, answer.body.decode()) == (200, SECRET)


class Prompt:
    """`cloister secrets set` on a terminal."""

    def __init__(self, node):
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self._said = b""
        self.process = subprocess.Popen(
            [node.bin / "cloister", "--socket", node.socket, "secrets", "set", "cfg/none", "TOKEN"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=self._prepare,
        )

    @staticmethod
    def _prepare():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # Whoever runs the tests may ignore it, as under nohup.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def echoes(self):
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def type(self, text):
        os.write(self._ours, text)

    def said(self):
        while select.select([self._ours], [], [], 0)[0]:
            self._said += os.read(self._ours, 4096)
        return self._said.decode()

    def wait_for_prompts(self, count):
        wait_until(
            lambda: self.said().count("end it with Enter") == count and not self.echoes(),
            f"prompt {count} that does not echo",
        )


@pytest.mark.parametrize("by", ["key", signal.SIGTERM, signal.SIGHUP])
def test_a_prompt_that_is_interrupted_leaves_the_terminal_as_it_was(node, by):
    with Prompt(node) as prompt:
        prompt.wait_for_prompts(1)
        prompt.type(b"half a sec")
        if by == "key":
            prompt.type(b"\x03")
        else:
            prompt.process.send_signal(by)
        ended_by = signal.SIGINT if by == "key" else by
        assert prompt.process.wait(timeout=20) == -ended_by
        assert prompt.echoes()
        assert "half" not in prompt.said()


def test_a_prompt_asks_again_after_a_stop(node):
    with Prompt(node) as prompt:
        prompt.wait_for_prompts(1)
        # Nobody could continue a session without a shell: the kernel does not stop it.
        prompt.type(b"\x1a")
        prompt.wait_for_prompts(2)
        prompt.type(b"the-value-itself\n")
        assert prompt.process.wait(timeout=20) == 1
        assert prompt.echoes()
        assert "the-value-itself" not in prompt.said()
        assert "_not_found]" in prompt.said()
