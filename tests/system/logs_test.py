"""What an app says arrives in its log: all of it, in order, byte for byte, and nobody else's."""

import base64
import contextlib
import json
import subprocess
import threading

import apps
import pytest
from waiting import wait_until

APP = "demo/logs"
PIECES = [b"line\n", b"a\r\nb\r\n", b"\n\n\n", b"nul \0\n", b"\xff\xc3\n", b"\r\n"]
SOURCE = r"""
import logging, sys

log = logging.getLogger("shop.orders")
print("imported")
PIECES = [b"line\n", b"a\r\nb\r\n", b"\n\n\n", b"nul \0\n", b"\xff\xc3\n", b"\r\n"]

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/order":
        for number in range(100):
            print("out", number)
            log.warning("log %d", number)
            environ["wsgi.errors"].write(f"err {number}\n")
            sys.stderr.write(f"stderr {number}\n")
    if path == "/bytes":
        sys.stdout.buffer.write(bytes(range(256)))
        sys.stdout.flush()
    if path == "/text":
        print("gr\u00fc\u00dfe \U0001f600\ttab")
    if path == "/partial":
        print("no newline at the end", end="", flush=True)
    if path == "/levels":
        for level in ("debug", "info", "warning", "error", "critical"):
            log.setLevel(logging.DEBUG)
            getattr(log, level)("at %s", level)
    if path == "/raise":
        raise ValueError("the reason")
    if path == "/forge":
        print("fine\n2026-01-01T00:00:00Z demo/other forged line")
    if path == "/pieces":
        for piece in PIECES:
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()
            log.warning("%s", piece.decode("utf-8", "surrogateescape"))
    if path == "/fields":
        log.setLevel(logging.INFO)
        log.info("sold\nmore", extra={"user": 3, "city": "New York", "paid": True, "coupon": None})
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("failed")
    if path == "/flood":
        for number in range(30_000):
            print(number, "x" * 200)
    if path == "/long":
        print("x" * 100_000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""


@pytest.fixture(scope="module", autouse=True)
def app(node, tmp_path_factory):
    node.deploy(apps.write_app(tmp_path_factory.mktemp("app"), SOURCE), APP)


def events_of(node, request_id, app=APP):
    return [event for event in node.events(app) if event["request_id"] == request_id]


def ask(node, path, count=1, app=APP):
    """Requests a path; its events once there are so many, and the request's id."""
    answer = node.http(app, path)
    request_id = answer.header("X-Request-Id")
    found = wait_until(
        lambda: len(events_of(node, request_id, app)) >= count and events_of(node, request_id, app),
        lambda: f"{count} events of {path}: {events_of(node, request_id, app)}",
    )
    return found, request_id


def content(event):
    return base64.b64decode(event["base64"]) if "base64" in event else event["text"].encode()


def test_everything_in_its_order(node):
    events, _ = ask(node, "/order", 400)
    said = [content(event).decode().strip() for event in events]
    expected = []
    for number in range(100):
        expected += [f"out {number}", f"log {number}", f"err {number}", f"stderr {number}"]
    assert said == expected
    sequences = [event["sequence"] for event in events]
    assert sequences == list(range(sequences[0], sequences[0] + 400))


def test_an_event_knows_where_it_came_from(node):
    events, request_id = ask(node, "/order", 400)
    (worker,) = node.json("ps", APP)["workers"]
    for event in events:
        assert event["request_id"] == request_id
        assert event["release"] == "1.0.0"
        assert event["worker"] == worker["id"]
        assert event["time"].endswith("Z")
    assert [event["source"] for event in events[:4]] == ["stdout", "logging", "stderr", "stderr"]
    assert (events[1]["level"], events[1]["logger"]) in (
        (30, "shop.orders"),
        ("warning", "shop.orders"),
    )


def test_bytes_that_are_no_text_arrive_as_they_are(node):
    events, _ = ask(node, "/bytes")
    assert b"".join(content(event) for event in events) == bytes(range(256))


def test_text_arrives_as_it_is(node):
    events, _ = ask(node, "/text")
    assert (
        b"".join(content(event) for event in events) == "gr\u00fc\u00dfe \U0001f600\ttab\n".encode()
    )


def test_what_has_no_newline_is_not_held_back(node):
    events, _ = ask(node, "/partial")
    assert b"".join(content(event) for event in events) == b"no newline at the end"


def test_events_are_framed_whatever_they_contain(node):
    events, _ = ask(node, "/pieces", 2 * len(PIECES))
    assert [content(event) for event in events if event["source"] == "stdout"] == PIECES
    # The handler encodes: what stands for a byte that is no text is shown as that.
    logged = [content(event) for event in events if event["source"] == "logging"]
    shown = [piece.decode("utf-8", "surrogateescape") for piece in PIECES]
    assert logged == [text.encode("utf-8", "backslashreplace") for text in shown]
    sequences = [event["sequence"] for event in events]
    assert sequences == list(range(sequences[0], sequences[0] + 2 * len(PIECES)))


def test_fields_are_kept_with_their_types(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path, SOURCE), APP)
    events, request_id = ask(own_node, "/fields", 2)
    own_node.restart()
    assert events_of(own_node, request_id) == events, "they are on disk"
    assert events[0]["fields"] == {"user": 3, "city": "New York", "paid": True, "coupon": None}
    assert events[0]["level"] == "info"
    assert "ZeroDivisionError: division by zero" in events[1]["fields"]["exc_info"]
    shown = own_node.cli("logs", APP, "--request", request_id).stdout
    assert 'sold city="New York" coupon=null paid=true user=3\n    more\n' in shown
    assert shown.count("ZeroDivisionError") == 1


def test_what_a_check_said_is_marked(node):
    imports = [event for event in node.events(APP) if event.get("text") == "imported\n"]
    assert {event.get("check", False) for event in imports} == {True, False}
    shown = node.cli("logs", APP).stdout
    assert " 1.0.0 [check] stdout  imported" in shown
    assert " 1.0.0 stdout  imported" in shown


def test_filters_are_the_nodes_and_combine(node):
    first, first_id = ask(node, "/levels", 5)
    second, second_id = ask(node, "/levels", 5)

    def sequences(*arguments):
        return [event["sequence"] for event in node.json("logs", APP, *arguments)["events"]]

    numbers = {event["level"]: event["sequence"] for event in second}
    errors = [numbers["error"], numbers["critical"]]
    assert sequences("--request", second_id, "--level", "error") == errors
    assert sequences("--request", second_id, "--level", "41") == errors[1:]
    assert sequences("--request", second_id, "-n", 1) == errors[1:]
    assert sequences("--level", "critical", "-n", 2) == [first[4]["sequence"], errors[1]]
    assert sequences("--since", second[0]["time"], "--level", "critical") == errors[1:]
    assert sequences("--since", "1h", "--request", first_id) == [e["sequence"] for e in first]
    assert sequences("--since", "0s") == []
    assert sequences("--release", "9.9.9") == []
    assert all(event["level"] for event in node.json("logs", APP, "--level", "debug")["events"])


def test_a_filter_that_is_none_is_refused(node):
    for arguments, word in (
        (["--since", "yesterday"], "duration with its unit"),
        (["--since", "2026-02-30T00:00:00Z"], "RFC 3339"),
        (["--level", "loud"], "debug, info, warning"),
    ):
        done = node.cli("logs", APP, *arguments, check=False)
        assert done.returncode == 2
        assert word in done.stdout + done.stderr


def test_a_loss_is_said_once_and_counted_exactly(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path, SOURCE), APP)
    own_node.http(APP, "/flood")

    def all_accounted_for():
        log = own_node.json("logs", APP)
        kept = [event for event in log["events"] if b" x" in content(event)]
        return len(kept) + log["lost"] == 30_000 and log

    log = wait_until(all_accounted_for, "each event is kept, or counted as lost")
    assert log["lost"] > 0
    marks = [event for event in log["events"] if event.get("lost")]
    assert sum(mark["lost"] for mark in marks) == log["lost"]
    sequences = [event["sequence"] for event in log["events"]]
    assert sequences == list(range(1, len(sequences) + 1))
    done = own_node.cli("logs", APP)
    shown = [line for line in (done.stdout + done.stderr).splitlines() if " lost" in line]
    assert len(shown) == len(marks)


def test_a_deploy_in_between_loses_nothing(own_node, tmp_path):
    source = """
import logging
log = logging.getLogger("counted")
log.setLevel(logging.INFO)
def application(environ, start_response):
    log.info("%s", environ["QUERY_STRING"])
    start_response("200 OK", [])
    return [b""]
"""
    own_node.deploy(apps.write_app(tmp_path / "1", source, "1.0.0"), APP)
    asked = []
    done = threading.Event()

    def ask_on():
        while not done.is_set() or len(asked) < 20:
            assert own_node.http(APP, f"/?n{len(asked)}").status == 200
            asked.append(f"n{len(asked)}")

    client = threading.Thread(target=ask_on)
    client.start()
    try:
        for number in range(1, 4):
            folder = tmp_path / f"1.{number}"
            own_node.deploy(apps.write_app(folder, source, f"1.{number}.0"), APP)
    finally:
        done.set()
        client.join()

    def counted():
        log = own_node.json("logs", APP, "--level", "info")
        assert log["lost"] == 0
        events = [event for event in log["events"] if event["logger"] == "counted"]
        return [event["text"] for event in events if not event.get("check") and event["text"]]

    wait_until(lambda: len(counted()) >= len(asked), lambda: f"{len(asked)}: {counted()}")
    assert sorted(counted(), key=lambda text: int(text[1:])) == asked
    releases = {event["release"] for event in own_node.events(APP)}
    assert releases == {"1.0.0", "1.1.0", "1.2.0", "1.3.0"}


def test_a_long_event_is_whole(node):
    events, _ = ask(node, "/long")
    assert b"".join(content(event) for event in events) == b"x" * 100_000 + b"\n"


def test_levels(node):
    events, _ = ask(node, "/levels", 5)
    assert [content(event).strip() for event in events] == [
        b"at debug",
        b"at info",
        b"at warning",
        b"at error",
        b"at critical",
    ]


def test_an_exception_comes_with_its_traceback(node):
    events, _ = ask(node, "/raise")
    text = b"".join(content(event) for event in events).decode()
    assert "ValueError: the reason" in text
    assert 'main.py", line' in text and "raise ValueError" in text


def test_what_is_said_at_import_is_there(node):
    assert any(content(event).strip() == b"imported" for event in node.events(APP))


def test_an_app_cannot_forge_a_line_of_another(node):
    ask(node, "/forge")
    shown = node.cli("logs", APP).stdout.splitlines()
    (line,) = [line for line in shown if "forged line" in line]
    assert not line.startswith("2026-01-01T00:00:00Z demo/other")


def test_a_neighbour_sees_nothing(node, tmp_path):
    node.deploy(apps.write_app(tmp_path), "neighbour/logs")
    ask(node, "/text")
    assert not any("gr\u00fc" in event.get("text", "") for event in node.events("neighbour/logs"))


def test_the_log_can_be_read_from_where_one_was(node):
    ask(node, "/text")
    url = "/v1/tenants/demo/apps/logs/logs"
    everything = node.admin("GET", url).json()
    page = node.admin("GET", f"{url}?limit=2").json()
    rest = node.admin("GET", f"{url}?after={page['next']}").json()
    assert [*page["events"], *rest["events"]] == everything["events"]
    tail = node.admin("GET", f"{url}?tail=1").json()
    assert tail["events"] == everything["events"][-1:]
    assert everything["lost"] == 0


@contextlib.contextmanager
def following(node, *arguments):
    """The lines that `cloister logs -f` has printed so far, as they come."""
    process = subprocess.Popen(
        [
            *[*node.as_user(), node.bin / "cloister", "--socket", node.socket],
            *["logs", APP, "-f", *arguments],
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        yield seen
    finally:
        process.terminate()
        process.wait()
        reader.join()
        process.stdout.close()


def test_following_shows_what_comes(node):
    with following(node) as seen:
        wait_until(lambda: any("imported" in line for line in seen), "what was there is shown")
        count = sum("gr\u00fc" in line for line in seen)
        node.http(APP, "/text")
        wait_until(lambda: sum("gr\u00fc" in line for line in seen) > count, "what is new is shown")


def test_following_with_a_filter_shows_what_matches(node):
    with following(node, "--json", "-n", "0", "--level", "error") as seen:

        def asked_and_seen():
            # Again, as nothing tells when the follower has begun.
            ask(node, "/levels", 5)
            return len(seen) >= 2

        wait_until(asked_and_seen, "errors are shown")
        levels = {json.loads(line)["level"] for line in list(seen)}
        assert levels <= {"error", "critical"}


def test_the_log_survives_kill_9_of_everything(own_node, tmp_path):
    own_node.deploy(apps.write_app(tmp_path, SOURCE), APP)
    own_node.http(APP, "/text")
    wait_until(
        lambda: any("gr\u00fc" in event.get("text", "") for event in own_node.events(APP)),
        "the event",
    )
    own_node.restart()
    assert any("gr\u00fc" in event.get("text", "") for event in own_node.events(APP))
