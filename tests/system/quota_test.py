"""Quotas that operators set: in force at once, without a lost request, and still there later."""

import re
import threading

import apps
from raw_http import ConnectionEnded
from waiting import wait_until

MIB = 1 << 20


def data_limit(process):
    """RLIMIT_DATA of a process in bytes; None: it has none yet, or is gone."""
    try:
        with open(f"/proc/{process.pid}/limits", encoding="ascii") as limits:
            found = re.search(r"^Max data size +(\d+)", limits.read(), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(found[1]) if found else None


def value_of(node, owner, name):
    (row,) = [row for row in node.json("quota", "show", owner)["quotas"] if row["name"] == name]
    return row["value"], row["set_for"]


def test_a_change_is_in_force_under_load_without_a_lost_request(node, tmp_path):
    app = "quota-loaded/hello"
    node.deploy(apps.write_app(tmp_path / "app"), app)
    (old,) = node.workers(app)
    assert data_limit(old) == 256 * MIB
    failed, asked, stop = [], [], threading.Event()

    def load():
        with node.connect() as client:
            while not stop.is_set():
                try:
                    answer = client.request(host="hello.quota-loaded.localhost")
                except ConnectionEnded as ended:
                    failed.append(ended)
                    return
                asked.append(answer.status)
                if (answer.status, answer.body) != (200, b"Hello, world"):
                    failed.append(answer)

    clients = [threading.Thread(target=load) for _ in range(8)]
    for client in clients:
        client.start()
    try:
        for mebibytes in (64, 128, 96):
            node.cli("quota", "set", app, f"limits.memory={mebibytes}MiB")
            wait_until(
                lambda: [data_limit(worker) for worker in node.workers(app)],
                "there are workers",
            )
            wait_until(
                lambda wanted=mebibytes * MIB: {data_limit(one) for one in node.workers(app)}
                == {wanted},
                f"all workers have {mebibytes} MiB",
            )
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not failed
    assert len(asked) > 100
    assert old not in node.workers(app)


def test_they_are_shown_with_whom_they_were_set_for(node, tmp_path):
    app = "quota-shown/hello"
    node.deploy(apps.write_app(tmp_path / "app"), app)
    assert value_of(node, "quota-shown", "limits.workers") == ("8", "node")
    node.cli("quota", "set", "quota-shown", "limits.workers=3", "log.rate=1MiB")
    assert value_of(node, app, "limits.workers") == ("3", "tenant")
    changed = node.json("quota", "set", app, "limits.workers=5")
    assert changed["app"] == app
    assert value_of(node, app, "limits.workers") == ("5", "app")
    shown = node.cli("quota", "show", app).stdout
    line = r"^limits\.workers +5 +20% +- +app quota-shown/hello +Workers of one app"
    assert re.search(line, shown, re.M)
    assert re.search(r"^log\.rate +1MiB +- +- +tenant quota-shown ", shown, re.M)
    assert re.search(r"^limits\.wall +30s +- +- +node ", shown, re.M)
    node.cli("quota", "unset", app, "limits.workers")
    assert value_of(node, app, "limits.workers") == ("3", "tenant")
    node.cli("quota", "unset", "quota-shown", "limits.workers", "log.rate")
    assert value_of(node, app, "limits.workers") == ("8", "node")


def test_what_is_wrong_is_said_and_changes_nothing(node, tmp_path):
    app = "quota-wrong/hello"
    node.deploy(apps.write_app(tmp_path / "app"), app)
    before = node.json("quota", "show", app)
    for words, code, says in (
        (["limits.memory"], "usage", "NAME=VALUE"),
        (["limits.memori=1MiB"], "quota_unknown", "did you mean 'limits.memory'?"),
        (["limits.workers=2", "limits.memory=12"], "quota_invalid", "limits.memory must be"),
        (["limits.workers=0"], "quota_invalid", "limits.workers"),
        (["node.state_dir=/tmp"], "quota_unknown", "node.state_dir"),
    ):
        done = node.cli("--json", "quota", "set", app, *words, check=False)
        assert done.returncode == 2, done.stdout
        assert f'"{code}"' in done.stdout
        assert says in done.stdout
    done = node.cli("quota", "set", "quota-wrong/none", "limits.workers=2", check=False)
    assert (done.returncode, "app_not_found" in done.stderr) == (1, True)
    assert node.json("quota", "show", app) == before


def test_what_the_live_release_cannot_boot_within_is_refused(node, tmp_path):
    app = "quota-low/large"
    source = "LARGE = bytearray(100 << 20)\n" + apps.HELLO
    node.deploy(apps.write_app(tmp_path / "app", source), app)
    done = node.cli("--json", "quota", "set", app, "limits.memory=64MiB", check=False)
    assert done.returncode == 3, done.stdout
    assert '"quota_too_low"' in done.stdout
    needed = int(re.search(r"needs ([0-9]+) MiB of limits.memory", done.stdout)[1])
    assert 100 < needed < 256
    assert value_of(node, app, "limits.memory") == ("256MiB", "node")
    node.cli("quota", "set", app, f"limits.memory={needed + 8}MiB")
    assert node.http(app).body == b"Hello, world"


def test_they_outlive_the_node(own_node, tmp_path):
    app = "quota-outlive/hello"
    own_node.deploy(apps.write_app(tmp_path / "app"), app)
    own_node.cli("quota", "set", app, "limits.memory=64MiB")
    own_node.kill()
    own_node.start()
    assert value_of(own_node, app, "limits.memory") == ("64MiB", "app")
    assert own_node.http(app).body == b"Hello, world"
    (worker,) = own_node.workers(app)
    assert data_limit(worker) == 64 * MIB


def test_a_log_event_is_cut_at_the_apps_own_limit(node, tmp_path):
    app = "quota-flood/hello"
    source = apps.HELLO.replace("    start_response", "    print('x' * 5000)\n    start_response")
    node.deploy(apps.write_app(tmp_path / "app", source), app)
    node.cli("quota", "set", app, "log.event_max=1KiB")
    assert node.http(app).status == 200
    (event,) = wait_until(
        lambda: [event for event in node.events(app) if event.get("cut")], "there is a cut event"
    )
    assert event["text"] == "x" * 1024


def test_a_wall_time_holds_for_the_next_request_of_the_same_worker(node, tmp_path):
    app = "quota-slow/hello"
    source = "import time\n" + apps.HELLO.replace(
        "    start_response",
        "    if environ['PATH_INFO'] == '/slow':\n        time.sleep(30)\n    start_response",
    )
    node.deploy(apps.write_app(tmp_path / "app", source), app)
    (worker,) = node.workers(app)
    node.cli("quota", "set", app, "limits.wall=200ms")
    assert node.http(app, "/slow").status == 504
    assert worker in node.workers(app) or node.http(app).status == 200


def test_requests_over_the_quota_are_refused_and_told(node, tmp_path):
    app = "quota-requests/hello"
    node.deploy(apps.write_app(tmp_path / "app"), app)
    node.cli("quota", "set", app, "limits.requests=5")
    with node.connect() as client:
        answers = [client.request(host="hello.quota-requests.localhost") for _ in range(30)]
    refused = [answer for answer in answers if answer.status == 503]
    assert len(refused) >= 20
    assert {answer.status for answer in answers} == {200, 503}
    assert refused[0].json()["code"] == "requests_exceeded"
    assert int(refused[0].header("retry-after")) >= 1
    texts = [event["text"] for event in node.events(app)]
    assert any("comes near to its quota limits.requests" in text for text in texts)
    assert any("1 request was refused with a 503" in text for text in texts)
    (row,) = [
        row for row in node.json("quota", "show", app)["quotas"] if row["name"] == "limits.requests"
    ]
    assert row["refused"] >= len(refused)
    assert row["limit"] == 5
    node.cli("quota", "set", app, "limits.requests=1000000")
    with node.connect() as client:
        for _ in range(30):
            assert client.request(host="hello.quota-requests.localhost").status == 200


def test_what_the_manifest_asks_less_for_is_the_limit_that_is_shown(node, tmp_path):
    app = "quota-manifest/hello"
    limits = '\n[limits]\nmemory = "48MiB"\nqueue = 2\n\n[workers]\nmax = 1\n'
    node.deploy(apps.write_app(tmp_path / "app", extra=limits), app)
    rows = {row["name"]: row for row in node.json("quota", "show", app)["quotas"]}
    for name, value, asked, number in (
        ("limits.memory", "256MiB", "48MiB", 48 * MIB),
        ("limits.queue", "256", "2", 2),
        ("limits.workers", "8", "1", 1),
    ):
        row = rows[name]
        assert (row["value"], row["manifest"], row["limit"]) == (value, asked, number)
    assert "manifest" not in rows["limits.wall"]
    assert "48MiB by manifest (of 256MiB)" in node.cli("quota", "show", app).stdout
    node.cli("quota", "set", app, "limits.memory=32MiB")
    (row,) = [
        row for row in node.json("quota", "show", app)["quotas"] if row["name"] == "limits.memory"
    ]
    assert (row["value"], row["limit"], "manifest" in row) == ("32MiB", 32 * MIB, False)


def test_what_the_manifest_asks_more_for_is_said_to_be_the_quotas(node, tmp_path):
    app = "quota-above/hello"
    limits = '\n[limits]\nmemory = "2GiB"\nwall = "1s"\n\n[workers]\nmax = 1000\n'
    said = node.deploy(apps.write_app(tmp_path / "app", extra=limits), app).stdout
    assert "above the quota, which holds: limits.memory, limits.workers\n" in said
    rows = {row["name"]: row for row in node.json("quota", "show", app)["quotas"]}
    assert rows["limits.memory"]["limit"] == 256 * MIB


def test_a_rate_that_nobody_uses_now_is_shown_as_unused(node, tmp_path):
    app = "quota-idle/hello"
    node.deploy(apps.write_app(tmp_path / "app"), app)
    node.cli("quota", "set", app, "limits.requests=10")
    for _ in range(10):
        node.http(app)

    def used():
        rows = node.json("quota", "show", app)["quotas"]
        return next(row["used"] for row in rows if row["name"] == "limits.requests")

    wait_until(lambda: used() == 0, "the bucket is full again, without another request")


def test_a_body_over_the_apps_quota_is_a_413_before_it_is_sent(node, tmp_path):
    app = "quota-body/hello"
    node.deploy(apps.write_app(tmp_path / "app"), app)
    node.cli("quota", "set", app, "limits.body=4KiB")
    assert node.http(app, method="POST", body=b"x" * 4096).status == 200
    assert node.http(app, method="POST", body=b"x" * 4097).status == 413
    assert any("the quota limits.body" in event["text"] for event in node.events(app))
    (row,) = [
        row for row in node.json("quota", "show", app)["quotas"] if row["name"] == "limits.body"
    ]
    assert row["refused"] == 1
