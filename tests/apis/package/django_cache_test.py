"""cloister.django.cache keeps what Django's own cache back ends keep."""

import pickle
import warnings

import cloister
import pytest

with warnings.catch_warnings():
    # Django 3.2 uses modules that Python 3.11 would rather not have.
    warnings.simplefilter("ignore", DeprecationWarning)
    import django
    from django.conf import settings

PLACE = "cloister.django.cache.CloisterCache"
if not settings.configured:
    settings.configure(
        CACHES={
            "default": {"BACKEND": PLACE},
            "prefixed": {"BACKEND": PLACE, "KEY_PREFIX": "p", "VERSION": 2, "TIMEOUT": 5},
        },
        USE_TZ=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        django.setup()

from django.core.cache import cache, caches  # noqa: E402
from django.core.cache.backends.base import InvalidCacheKey  # noqa: E402


class Thing:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value


def test_it_is_the_back_end():
    assert type(caches["default"]).__name__ == "CloisterCache"


def test_values_keep_their_type():
    values = ["text", 42, -1, 2**63, 10**40, True, None, 1.5, [1], {"a": (1,)}, b"42", "42", {1}]
    for value in [*values, Thing(5)]:
        cache.set("k", value)
        assert cache.get("k", "default") == value
        assert type(cache.get("k")) is type(value)
    assert cache.get("missing", "default") == "default"
    assert "k" in cache and "missing" not in cache
    cache.set("none", None)
    assert cache.has_key("none") and cache.get("none", 1) is None


def test_add_does_not_replace():
    assert cache.add("a", 1) is True
    assert cache.add("a", 2) is False
    assert cache.get("a") == 1


def test_delete_and_clear():
    cache.set("a", 1)
    assert cache.delete("a") is True and cache.delete("a") is False
    cache.set("a", 1)
    cache.clear()
    assert cache.get("a") is None


def test_incr_and_decr():
    cache.set("n", 41)
    assert cache.incr("n") == 42 and cache.incr("n", 10) == 52 and cache.decr("n", 2) == 50
    assert cache.get("n") == 50
    with pytest.raises(ValueError, match="missing"):
        cache.incr("missing")
    with pytest.raises(ValueError):
        cache.decr("missing")
    cache.set("text", "x")
    with pytest.raises(ValueError):
        cache.incr("text")


def test_timeouts():
    cache.set("short", 1, 2)
    cache.set("ever", 1, None)
    cache.set("default", 1)
    cloister.testing.advance(3)
    assert cache.get_many(["short", "ever", "default"]) == {"ever": 1, "default": 1}
    cloister.testing.advance(300)
    assert cache.get_many(["short", "ever", "default"]) == {"ever": 1}
    for timeout in (0, -1):
        cache.set("ever", 1)
        cache.set("ever", 2, timeout)
        assert cache.get("ever") is None
        assert cache.add("ever", 1, timeout) is True and cache.get("ever") is None
        assert cache.set_many({"x": 1}, timeout) == [] and cache.get("x") is None


def test_touch():
    assert cache.touch("a") is False
    cache.set("a", 1, 2)
    assert cache.touch("a", 60) is True
    cloister.testing.advance(30)
    assert cache.get("a") == 1
    assert cache.touch("a", 0) is True and cache.get("a") is None
    cache.set("a", 1, 2)
    assert cache.touch("a", None)
    cloister.testing.advance(3000)
    assert cache.get("a") == 1


def test_many():
    assert cache.set_many({"a": 1, "b": [2]}) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]}
    cache.delete_many(["a", "c"])
    assert cache.get_many(["a", "b"]) == {"b": [2]}
    assert cache.get_many([]) == {}


def test_get_or_set():
    calls = []
    assert cache.get_or_set("a", lambda: calls.append(1) or 5) == 5
    assert cache.get_or_set("a", lambda: calls.append(1) or 6) == 5
    assert calls == [1]
    assert cache.get_or_set("none", None) is None


def test_versions_and_prefixes():
    cache.set("a", 1, version=1)
    cache.set("a", 2, version=2)
    assert (cache.get("a"), cache.get("a", version=2)) == (1, 2)
    assert caches["prefixed"].get("a") is None
    caches["prefixed"].set("a", 3)
    assert cache.get("a") == 1 and caches["prefixed"].get("a") == 3
    assert cache.incr_version("a") == 2 and cache.get("a") is None
    assert cache.get("a", version=2) == 1
    cloister.testing.advance(6)
    assert caches["prefixed"].get("a") is None


def test_keys():
    for key in ("a b", "a\nb", "ü" * 100, ""):
        cache.set(key, 1)
        assert cache.get(key) == 1
    longest = "k" * (250 - len(":1:"))
    cache.set(longest, 1)
    assert cache.get(longest) == 1
    for call in (cache.get, cache.delete, cache.has_key, cache.touch):
        with pytest.raises(InvalidCacheKey, match="250 bytes"):
            call(longest + "k")
    with pytest.raises(InvalidCacheKey):
        cache.set(longest + "k", 1)


def test_a_value_that_was_not_stored_leaves_no_former_one():
    cache.set("a", "former")
    cache.set("a", "x" * (2 << 20))
    assert cache.get("a") is None
    cache.set("a", "former")
    assert cache.set_many({"a": "x" * (2 << 20), "b": 1}) == ["a"]
    assert cache.get_many(["a", "b"]) == {"b": 1}


def test_a_server_that_is_down_is_a_cache_of_nothing():
    cache.set("a", 1)
    with cloister.testing.cache_down():
        assert cache.get("a", 2) == 2 and not cache.add("a", 1) and not cache.touch("a")
        cache.set("a", 1)
        assert cache.set_many({"a": 1}) == ["a"]
        assert cache.get_many(["a"]) == {} and cache.delete("a") is False
        assert cache.get_or_set("a", 7) == 7
        cache.clear()


def test_over_the_quota_of_calls_nothing_raises():
    cloister.testing.limits(cache_calls=0)
    assert cache.get("a", 2) == 2 and not cache.add("a", 1) and not cache.touch("a")
    cache.set("a", 1)
    assert cache.set_many({"a": 1}) == ["a"] and cache.get_many(["a"]) == {}
    assert not cache.delete("a") and not cache.has_key("a")
    cache.delete_many(["a"])
    cache.clear()


def test_a_broken_value_is_a_miss():
    for data in (b"", b"junk", b"\x80\x04.", pickle.dumps(Thing(1)).replace(b"Thing", b"Gone_")):
        cloister.cache.set(cache.make_key("a"), data)
        assert cache.get("a", "miss") == "miss"
        assert cache.get_many(["a"]) == {}


def test_sessions_live_in_it():
    from importlib import import_module

    store = import_module("django.contrib.sessions.backends.cache").SessionStore()
    store["cart"] = [1, 2]
    store.save()
    again = type(store)(session_key=store.session_key)
    assert again["cart"] == [1, 2]
