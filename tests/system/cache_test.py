"""The cache as apps see it on a node: shared, bounded, and no trouble when its server is away."""

import os
import signal

import apps
import pytest
from waiting import wait_until

APP = "demo/shop"
# GET /CALL?ARGUMENTS as Python: calls cloister.cache and answers what came of it.
SOURCE = """
import os
import urllib.parse

import cloister
from cloister import cache


@cache.memoize(ttl=600)
def made_by(value):
    return os.getpid()


def application(environ, start_response):
    expression = urllib.parse.unquote(environ["QUERY_STRING"])
    try:
        result = repr(eval(expression))
    except cloister.QuotaExceeded as error:
        result = f"{error.quota} {error.limit} {error.used} {error.retry_after}"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
"""


def ask(node, expression, app=APP):
    target = "/?" + "".join(f"%{byte:02x}" for byte in expression.encode())
    answer = node.http(app, target)
    assert answer.status == 200, node.cli("logs", app).stdout
    return answer.body.decode()


@pytest.fixture
def shop(make_node, tmp_path):
    node = make_node().start()
    node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    wait_until(lambda: ask(node, "cache.set('ready', b'1')") == "True", node.log)
    return node


EVERY_CALL = {
    "cache.get('a')": "None",
    "cache.get('a', 5)": "5",
    "cache.gets('a')": "(None, None)",
    "cache.set('a', b'2')": "False",
    "cache.add('a', b'2')": "False",
    "cache.replace('a', b'2')": "False",
    "cache.cas('a', b'2', b'x' * 40)": "False",
    "cache.delete('a')": "False",
    "cache.touch('a')": "False",
    "cache.incr('n', initial=1)": "None",
    "cache.decr('n')": "None",
    "cache.get_multi(['a', 'b'])": "{}",
    "cache.set_multi({'a': b'1', 'b': b'2'})": "['a', 'b']",
    "cache.delete_multi(['a', 'b'])": "0",
    "cache.json.get('a')": "None",
    "cache.json.set('a', [1])": "False",
}


def test_a_server_that_hangs_raises_nothing_and_nothing_stale_comes_back(shop):
    assert ask(shop, "cache.set('a', b'before')") == "True"
    server = shop.cache_server()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for expression, expected in EVERY_CALL.items():
            assert ask(shop, expression) == expected, expression
        assert ask(shop, "made_by(1) == os.getpid()") == "True"
    finally:
        server.go_on()
    wait_until(lambda: ask(shop, "cache.set('new', b'1')") == "True", shop.log)
    assert ask(shop, "cache.get('a')") == "None"


def test_a_server_that_dies_is_a_cache_that_begins_anew(shop):
    assert ask(shop, "cache.set('a', b'before')") == "True"
    os.kill(shop.cache_server().pid, signal.SIGKILL)
    wait_until(lambda: ask(shop, "cache.set('new', b'1')") == "True", shop.log)
    assert ask(shop, "cache.get('a')") == "None"
    assert ask(shop, "cache.get('new')") == "b'1'"


def test_a_quota_is_in_force_for_the_next_call(shop):
    shop.cli("quota", "set", APP, "cache.value=1KiB")
    assert ask(shop, "cache.set('a', b'v' * 1024)") == "True"
    assert ask(shop, "cache.set('a', b'v' * 1025)") == "cache.value 1024 1025 None"
    assert ask(shop, "cache.get('a')") == repr(b"v" * 1024)
    shop.cli("quota", "set", APP, "cache.key=16")
    assert ask(shop, "cache.get('k' * 17)") == "cache.key 16 17 None"
    assert ask(shop, "cache.get('k' * 16)") == "None"


def test_calls_beyond_the_rate_are_refused_and_the_log_says_so(shop):
    shop.cli("quota", "set", APP, "cache.calls=10")
    quota, limit, used, retry_after = ask(shop, "[cache.get('a') for _ in range(50)]").split()
    assert (quota, limit) == ("cache.calls", "10")
    assert int(used) >= 10 and float(retry_after) > 0
    wait_until(lambda: "cache.calls" in shop.cli("logs", APP).stdout, shop.log)
    # memoize goes on: it calls the function.
    assert ask(shop, "[made_by(n) for n in range(50)] == [os.getpid()] * 50") == "True"


def test_the_least_recently_used_of_the_app_goes_and_no_neighbours(shop, tmp_path):
    other = "demo/other"
    shop.deploy(apps.write_app(tmp_path / "other", SOURCE), other)
    assert ask(shop, "cache.set_multi({f'k{n}': b'v' * 1000 for n in range(100)})", other) == "[]"
    shop.cli("quota", "set", APP, "cache.bytes=64KiB")
    for first in range(0, 400, 100):
        names = f"range({first}, {first + 100})"
        stored = f"cache.set_multi({{f'k{{n}}': b'v' * 1000 for n in {names}}})"
        assert ask(shop, stored) == "[]"
    left = int(ask(shop, "len(cache.get_multi(f'k{n}' for n in range(400)))"))
    assert 20 <= left <= 64
    assert ask(shop, "len(cache.get_multi(f'k{n}' for n in range(100)))", other) == "100"


def test_a_value_that_would_not_fit_alone_is_refused(shop):
    assert ask(shop, "cache.set('a', b'former')") == "True"
    shop.cli("quota", "set", APP, "cache.bytes=64KiB")
    refused = ask(shop, "cache.set('a', b'v' * 70000)").split()
    assert refused[:2] == ["cache.bytes", "65536"] and int(refused[2]) > 70000
    assert refused[3] == "None"
    assert ask(shop, "cache.get('a')") == "b'former'"


def test_memoize_is_shared_by_releases_and_workers(shop, tmp_path):
    first = ask(shop, "made_by(7)")
    shop.deploy(apps.write_app(tmp_path / "next", SOURCE, "1.0.1"), APP)
    assert ask(shop, "made_by(7)") == first
    assert ask(shop, "made_by(7) == os.getpid()") == ask(shop, f"os.getpid() == {first}")
    assert ask(shop, "made_by.invalidate(7)") == "True"


def test_the_back_end_for_django(shop, tmp_path):
    source = """
import warnings
warnings.simplefilter("ignore")
from django.conf import settings
settings.configure(CACHES={"default": {"BACKEND": "cloister.django.cache.CloisterCache"}})
from django.core.cache import cache
""" + SOURCE.replace("from cloister import cache\n", "").replace(
        "@cache.memoize(ttl=600)\n", ""
    )
    extra = '\n[bundle]\npackages = ["django"]\n'
    shop.deploy(apps.write_app(tmp_path / "django", source, extra=extra), "demo/django")

    def django(expression):
        return ask(shop, expression, "demo/django")

    assert django("cache.set('a', {'b': (1, None)})") == "None"
    assert django("cache.get('a')") == "{'b': (1, None)}"
    assert django("cache.add('n', 41) and cache.incr('n')") == "42"
    assert django("cache.incr('missing')").startswith("ValueError")
    assert django("cache.set_many({'x': 1, 'large': 'v' * 2000000})") == "['large']"
    assert django("cache.get_many(['x', 'large'])") == "{'x': 1}"
    assert ask(shop, "cache.get(':1:x')") == "None"


def test_what_a_check_stores_vanishes(shop, tmp_path):
    assert ask(shop, "cache.set('a', b'live')") == "True"
    check = "/?" + "".join(f"%{b:02x}" for b in b"cache.get('a'), cache.set('a', b'checked')")
    extra = f'\n[[check]]\npath = "{check}"\ncontains = "(b\'live\', True)"\n'
    shop.deploy(apps.write_app(tmp_path / "next", SOURCE, "1.0.1", extra=extra), APP)
    assert ask(shop, "cache.get('a')") == "b'live'"
