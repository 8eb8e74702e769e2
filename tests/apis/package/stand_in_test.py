"""What an app's own tests can make the stand-ins do."""

import datetime
import os
import pickle
import subprocess
import sys
import threading

import cloister
import pytest
from cloister import cache, testing

ENTRY = 300


def test_the_package_says_its_version():
    assert cloister.__version__.count(".") == 2
    assert "cache" in dir(cloister)


def test_what_is_not_used_is_not_imported(package):
    code = "import sys, cloister; print([n for n in sys.modules if n.startswith('cloister.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(package)}, capture_output=True
    )
    names = eval(done.stdout)
    assert "cloister.cache" not in names and "cloister.testing" not in names


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'cash'"):
        cloister.cash
    with pytest.raises(AttributeError):
        cache.memoise


def test_errors_say_what_they_know_also_after_a_pickle():
    error = cloister.QuotaExceeded("cache.calls", 5000, 5001, 0.5)
    again = pickle.loads(pickle.dumps(error))
    assert (again.quota, again.limit, again.used, again.retry_after) == (
        "cache.calls",
        5000,
        5001,
        0.5,
    )
    assert str(again) == "the quota cache.calls allows 5000, 5001 are used"
    failed = pickle.loads(pickle.dumps(cloister.ApiError("some_code", "it is so")))
    assert (failed.code, failed.message, str(failed)) == (
        "some_code",
        "it is so",
        "it is so (some_code)",
    )
    assert not issubclass(cloister.WallTimeExceeded, Exception)
    assert cloister.WallTimeExceeded.__module__ == "cloister"


def test_time_goes_on_as_it_is_told():
    cache.set("a", b"1", 60)
    cache.set("b", b"1", datetime.timedelta(days=31))
    cache.set("c", b"1")
    testing.advance(59.9)
    assert cache.get("a") == b"1"
    testing.advance(0.2)
    assert cache.get("a") is None
    testing.advance(30 * 86400)
    assert cache.get("b") is None and cache.get("c") == b"1"
    with pytest.raises(ValueError):
        testing.advance(-1)


def test_the_least_recently_used_goes_first():
    testing.limits(cache_bytes=3 * (ENTRY + 3))
    for key in "abc":
        assert cache.set(key, b"1")
    assert cache.get("a") == b"1"
    assert cache.set("d", b"1")
    assert sorted(cache.get_multi(list("abcd"))) == ["a", "c", "d"]


def test_the_bytes_are_counted_exactly():
    size = ENTRY + 2 * 1 + 10
    testing.limits(cache_bytes=2 * size)
    assert cache.set("a", b"v" * 10) and cache.set("b", b"v" * 10)
    assert cache.set("a", b"v" * 9) and cache.get("b") == b"v" * 10
    assert cache.set("a", b"v" * 11) and cache.get("b") is None
    testing.limits(cache_bytes=size)
    assert cache.set("c", b"v" * 10) and cache.get("a") is None
    with pytest.raises(cloister.QuotaExceeded) as caught:
        cache.set("c", b"v" * 11)
    error = caught.value
    assert (error.quota, error.limit, error.used) == ("cache.bytes", size, size + 1)
    assert error.retry_after is None and cache.get("c") == b"v" * 10


def test_the_rate_is_counted_by_keys():
    testing.limits(cache_calls=10)
    for _ in range(8):
        cache.get("a")
    cache.get_multi(["a", "b"])
    with pytest.raises(cloister.QuotaExceeded) as caught:
        cache.get("a")
    error = caught.value
    assert (error.quota, error.limit) == ("cache.calls", 10) and error.used > 10
    assert error.retry_after == 1.0
    testing.advance(error.retry_after)
    assert cache.get("a") is None
    with pytest.raises(cloister.QuotaExceeded) as caught:
        cache.get_multi([str(number) for number in range(11)])
    assert caught.value.retry_after is None


@pytest.fixture
def still(monkeypatch):
    """Time that passes only when the test says so."""
    from cloister import _local

    monkeypatch.setattr(_local.clock, "monotonic", lambda: 1000.0 + _local.clock.offset)
    testing.reset()


def calls_used(call):
    """How many calls it takes of 1,000 that there are."""
    testing.limits(cache_calls=1000)
    call()
    with pytest.raises(cloister.QuotaExceeded) as caught:
        cache.get_multi([str(number) for number in range(1000)])
    return caught.value.used - 1000


def test_bytes_count_as_further_calls_beyond_the_first_16_kib(still):
    def used_by_set(size):
        return calls_used(lambda: cache.set("a", b"v" * size))

    assert used_by_set(0) == used_by_set(16384) == 1
    assert used_by_set(16384 + 512) == used_by_set(2 * 16384) == 2
    assert used_by_set(1 << 20) == calls_used(lambda: cache.get("a")) == 64
    _, token = cache.gets("a")
    assert calls_used(lambda: cache.gets("a")) == 64
    assert calls_used(lambda: cache.cas("a", b"", b"5:00")) == 1
    assert calls_used(lambda: cache.cas("a", b"", token[:-1] + b"x")) == 64
    values = {str(number): b"v" * 16384 for number in range(10)}
    assert calls_used(lambda: cache.set_multi(values)) == 10 + 9
    assert calls_used(lambda: cache.get_multi(values)) == 10 + 9
    cache.set("a", b"v" * 10)
    assert calls_used(lambda: cache.get("a")) == 1


def test_a_call_of_more_bytes_than_a_second_has_is_owed(still):
    testing.limits(cache_calls=10)
    assert cache.set("a", b"v" * (1 << 20)) is True
    with pytest.raises(cloister.QuotaExceeded) as caught:
        cache.get("b")
    assert caught.value.used == 65 and caught.value.retry_after == pytest.approx(5.5)
    testing.advance(5.5)
    assert cache.get("b") is None


def test_limits_have_the_names_of_quotas():
    with pytest.raises(TypeError, match="cache_bytes, cache_calls"):
        testing.limits(cash_bytes=1)
    with pytest.raises(ValueError):
        testing.limits(cache_bytes=-1)


def test_a_server_that_is_down_raises_nothing():
    cache.set("a", b"1")
    value, token = cache.gets("a")
    with testing.cache_down():
        assert cache.get("a") is None and cache.get("a", 5) == 5
        assert cache.gets("a") == (None, None)
        assert cache.set("a", b"2") is False
        assert cache.add("n", b"2") is False and cache.replace("a", b"2") is False
        assert cache.delete("a") is False and cache.touch("a") is False
        assert cache.cas("a", b"2", token) is False
        assert cache.incr("n", initial=1) is None and cache.decr("n") is None
        assert cache.get_multi(["a", "b"]) == {}
        assert cache.set_multi({"a": b"1", "b": b"2"}) == ["a", "b"]
        assert cache.delete_multi(["a", "b"]) == 0 and cache.clear() is True
        assert cache.json.get("a", "miss") == "miss" and cache.json.set("a", 1) is False
    assert cache.get("a") is None
    assert cache.set("a", b"3") is True and cache.get("a") == b"3"


def test_memoize_goes_on_without_a_cache():
    calls = []

    @cache.memoize(ttl=60)
    def function(value):
        calls.append(value)
        return value

    with testing.cache_down():
        assert function(1) == 1 and function(1) == 1
    assert calls == [1, 1]
    testing.limits(cache_calls=0)
    assert function(1) == 1 and calls == [1, 1, 1]
    testing.reset()
    testing.limits(cache_value=5)
    assert function(1) == 1 and function(1) == 1 and len(calls) == 5


def test_one_caller_makes_a_memoized_value_anew_while_others_get_the_old_one():
    calls = []
    inside, go_on = threading.Event(), threading.Event()

    @cache.memoize(ttl=100)
    def function():
        calls.append(1)
        if len(calls) == 2:
            inside.set()
            assert go_on.wait(10)
        return len(calls)

    assert function() == 1
    testing.advance(89)
    assert function() == 1
    testing.advance(2)
    results = []
    refreshing = threading.Thread(target=lambda: results.append(function()))
    refreshing.start()
    assert inside.wait(10)
    assert [function() for _ in range(5)] == [1] * 5
    go_on.set()
    refreshing.join()
    assert results == [2] and function() == 2 and len(calls) == 2


def test_config_is_in_the_environment_too():
    testing.set_config({"COLOUR": "red"}, SIZE="3")
    assert os.environ["COLOUR"] == "red" and os.environ["SIZE"] == "3"
    testing.set_config(SIZE="4")
    assert "COLOUR" not in os.environ and os.environ["SIZE"] == "4"
    testing.reset()
    assert "SIZE" not in os.environ


def test_config_reads_what_was_set():
    pytest.importorskip("cloister.config")
    testing.set_config(COLOUR="red", SIZE="3")
    assert cloister.config["COLOUR"] == "red" and cloister.config.get_int("SIZE") == 3
    assert dict(cloister.config) == {"COLOUR": "red", "SIZE": "3"}
    with pytest.raises(cloister.ConfigError, match="NOTHING"):
        cloister.config["NOTHING"]
    told = []
    cloister.config.on_change(told.append)
    testing.set_config(COLOUR="blue", SIZE="3")
    assert told == [{"COLOUR"}] and cloister.config["COLOUR"] == "blue"


def test_config_takes_texts():
    for wrong in ({"A": 1}, {1: "a"}):
        with pytest.raises(TypeError):
            testing.set_config(wrong)


def test_200_threads_do_not_break_the_accounting():
    testing.limits(cache_bytes=20 * (ENTRY + 2 * 3 + 9), cache_calls=10**9)

    def work(number):
        for turn in range(200):
            key = f"k{(number * 7 + turn) % 50:02}"
            cache.set(key, b"v" * (turn % 10))
            cache.delete(f"k{turn % 50:02}")
            cache.get(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    from cloister._local import cache as stand_in

    entries = stand_in._entries
    used = sum(2 * len(k) + len(v) + ENTRY for k, (v, _) in entries._values.items())
    assert entries.used == used <= 20 * (ENTRY + 2 * 3 + 9)
