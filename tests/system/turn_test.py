"""Releases take each other's place: checks, rollbacks, canaries, work that stays on its code."""

import subprocess
import threading

import apps
import raw_http
from node import free_port
from waiting import wait_until
from walk import last_release

# Answers with its number; /slow imports late, inside of the request, when told to go on.
NUMBERED = """
import time
NUMBER = {number}

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        print("begun", flush=True)
        time.sleep({pause})
        import late
        body = f"{{NUMBER}} {{late.NUMBER}}".encode()
    else:
        body = str(NUMBER).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def write(folder, number, version=None, pause=0.0, extra=""):
    return apps.write_app(
        folder,
        NUMBERED.format(number=number, pause=pause),
        version or f"{number}.0.0",
        files={"late.py": f"NUMBER = {number}\n"},
        extra=extra,
    )


def test_a_check_that_fails_rejects_and_shows_what_was_asked_and_answered(node, tmp_path):
    app = "demo/checked"
    node.deploy(write(tmp_path / "1", 1), app)
    check = '\n[[check]]\npath = "/"\nmatches = "^[0-9]$"\n'
    check += '\n[[check]]\npath = "/"\ncontains = "x"\n'
    refused = node.deploy(write(tmp_path / "2", 2, extra=check), app, check=False)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    said = refused.stdout + refused.stderr
    assert "error[check_failed]" in said and "GET /" in said
    assert node.http(app).body == b"1"
    assert last_release(node, app)["state"] == "rejected"


def test_a_check_alone_puts_nothing_live(node, tmp_path):
    app = "demo/dry"
    node.deploy(write(tmp_path / "1", 1), app)
    done = node.cli("check", write(tmp_path / "2", 2), "--app", app)
    assert "nothing went live" in done.stdout
    assert node.http(app).body == b"1"
    node.cli("promote", app, "2.0.0")
    assert node.http(app).body == b"2"


def test_a_rollback_and_back(node, tmp_path):
    app = "demo/back"
    node.deploy(write(tmp_path / "1", 1), app)
    node.deploy(write(tmp_path / "2", 2), app)
    assert "1.0.0 is live" in node.cli("rollback", app).stdout
    assert node.http(app).body == b"1"
    assert node.json("rollback", app, "2.0.0")["release"]["state"] == "live"
    assert node.http(app).body == b"2"
    refused = node.cli("rollback", app, "9.9.9", check=False)
    assert refused.returncode == 1 and "release_not_found" in refused.stderr


def test_a_canary_gets_its_share_and_goes(node, tmp_path):
    app = "demo/canary"
    node.deploy(write(tmp_path / "1", 1), app)
    node.deploy(write(tmp_path / "2", 2), app, arguments=["--canary", "20%"])
    answers = [node.http(app).body for _ in range(50)]
    assert answers.count(b"2") == 10
    shown = node.json("apps", "info", app)["app"]
    assert (shown["live"], shown["canary"], shown["canary_percent"]) == ("1.0.0", "2.0.0", 20)
    node.restart()
    assert [node.http(app).body for _ in range(10)].count(b"2") == 2
    assert "canary" in node.cli("rollback", app).stdout
    assert node.json("apps", "info", app)["app"]["canary"] is None
    assert {node.http(app).body for _ in range(20)} == {b"1"}


# One process that serves what lies in a folder, as it lies there when it is imported: what we do
# not do. A line of standard input has it load main.py anew.
UNPINNED = """
import socketserver, sys, threading, wsgiref.simple_server as simple
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

class Server(socketserver.ThreadingMixIn, simple.WSGIServer):
    daemon_threads = True

class Quiet(simple.WSGIRequestHandler):
    def log_message(self, *_):
        pass

server = simple.make_server("127.0.0.1", int(sys.argv[2]), None, Server, Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
for _ in sys.stdin:
    sys.modules.pop("main", None)
    import main
    server.set_app(main.application)
    print("loaded", flush=True)
"""


def answers_of_three(deploy, ask, wait_begun):
    """What requests answer that begin on versions 1, 2 and 3 and import a module after all three
    have been deployed: version to body."""
    answers, threads = {}, []
    for number in (1, 2, 3):
        deploy(number)
        threads.append(
            threading.Thread(target=lambda number=number: answers.update({number: ask()}))
        )
        threads[-1].start()
        wait_begun(number)
    return answers, threads


OWN = {1: b"1 1", 2: b"2 2", 3: b"3 3"}


def test_work_stays_on_the_release_that_it_began_on(node, tmp_path):
    """Three versions at once, each with its own modules, imported late."""
    app = "demo/pinned"
    answers, threads = answers_of_three(
        lambda number: node.deploy(write(tmp_path / str(number), number, pause=4.0), app),
        lambda: node.http(app, "/slow").body,
        lambda number: wait_until(
            lambda: any(
                event["text"] == "begun\n" and event["release"] == f"{number}.0.0"
                for event in node.events(app)
            ),
            "the request has begun",
        ),
    )
    releases = {row["version"]: row for row in node.json("releases", app)["releases"]}
    assert [releases[f"{number}.0.0"]["state"] for number in (1, 2, 3)] == [
        "draining",
        "draining",
        "live",
    ]
    assert all(releases[f"{number}.0.0"]["running"] for number in (1, 2, 3))
    for thread in threads:
        thread.join()
    assert answers == OWN
    wait_until(
        lambda: {row["state"] for row in node.json("releases", app)["releases"]}
        == {"live", "kept"},
        "what drained is kept",
    )


def test_without_pinning_the_same_requests_answer_with_a_mixture(tmp_path):
    """The control of the test above."""
    folder, port = tmp_path / "served", free_port()
    server = subprocess.Popen(
        ["/usr/bin/python3.11", "-c", UNPINNED, folder, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def wait_line(line):
        assert server.stdout.readline() == line + "\n"

    def deploy(number):
        write(folder, number, pause=2.0)
        server.stdin.write("\n")
        server.stdin.flush()
        wait_line("loaded")

    try:
        answers, threads = answers_of_three(
            deploy,
            lambda: raw_http.request(("127.0.0.1", port), target="/slow").body,
            lambda _: wait_line("begun"),
        )
        for thread in threads:
            thread.join()
    finally:
        server.communicate()
    assert answers == {1: b"1 3", 2: b"2 3", 3: b"3 3"} != OWN


RAISES = """
import time

def application(environ, start_response):
    if environ["PATH_INFO"] != "/slow":
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    print("begun", flush=True)
    time.sleep(2)
    import late
    late.fail()
"""


def test_a_traceback_shows_the_lines_of_the_release_that_raised(node, tmp_path):
    """Of 1.0.0, which was replaced by other lines while the request ran; long after it is gone."""
    app = "demo/raises"
    late = "def fail():\n    raise ValueError('of the first')  # a line of 1.0.0\n"
    node.deploy(apps.write_app(tmp_path / "1", RAISES, files={"late.py": late}), app)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(node.http(app, "/slow").status))
    slow.start()
    wait_until(
        lambda: any(event["text"] == "begun\n" for event in node.events(app)), "it has begun"
    )
    other = "\n\n\n" + RAISES.replace("import time", "import sys, time")
    files = {"late.py": "# nothing\n" * 9}
    node.deploy(apps.write_app(tmp_path / "2", other, "2.0.0", files=files), app)
    slow.join()
    assert answers == [500]
    wait_until(
        lambda: {row["state"] for row in node.json("releases", app)["releases"]}
        == {"live", "kept"},
        "1.0.0 is kept",
    )
    node.restart()
    (traceback,) = [event for event in node.events(app) if "ValueError" in event["text"]]
    assert traceback["release"] == "1.0.0"
    for text in ('"raises@1.0.0/late.py", line 2, in fail', "# a line of 1.0.0", "late.fail()"):
        assert text in traceback["text"]
