"""What the APIs do, wherever they run: each case is run in a worker and on the stand-in.

A case is a function whose name begins with `case_`; it raises where something is not so. It begins
with an empty cache. No pytest here: this file is deployed as part of an app.
"""

import datetime
import decimal
import enum
import os
import time

import cloister
import object_cases
import query_cases
import quota_cases
from cloister import cache, config
from config_values import CONFIG
from expect import eventually, in_threads, raised

KEY_MAX = 250
VALUE_MAX = 1 << 20
I64_MAX = (1 << 63) - 1


# --- one value


def case_get_of_nothing_is_none_or_the_default():
    assert cache.get("a") is None
    assert cache.get("a", b"x") == b"x"


def case_set_then_get():
    assert cache.set("a", b"1") is True
    assert cache.get("a") == b"1"
    assert cache.get("a", b"x") == b"1"
    assert cache.set("a", b"2") is True
    assert cache.get("a") == b"2"


def case_values_are_bytes_of_any_kind():
    every_byte = bytes(range(256))
    for number, value in enumerate((b"", b"\0", every_byte, b"\r\n", b"VALUE 0\r\n")):
        assert cache.set(f"v{number}", value) is True
        assert cache.get(f"v{number}") == value
        assert type(cache.get(f"v{number}")) is bytes
    assert cache.set("array", bytearray(b"ab")) and cache.get("array") == b"ab"
    assert cache.set("view", memoryview(b"abc")[1:]) and cache.get("view") == b"bc"


def case_keys_are_str_or_bytes_and_any_of_them():
    keys = [b"\0", b"\xff\xfe", b"a b", b"a\r\nb", b"a:b", b"{a}", b"*", "ü", "日本"]
    keys.append("a" * KEY_MAX)
    for number, key in enumerate(keys):
        assert cache.set(key, b"%d" % number) is True
    for number, key in enumerate(keys):
        assert cache.get(key) == b"%d" % number, key
    assert cache.get("ü".encode()) == cache.get("ü")
    assert cache.get("u") is None


def case_a_key_has_1_to_250_bytes():
    for key in ("", b""):
        raised(ValueError, cache.get, key)
        raised(ValueError, cache.set, key, b"")
        raised(ValueError, cache.get_multi, ["a", key])
    for size in (KEY_MAX - 1, KEY_MAX):
        assert cache.set("k" * size, b"1") and cache.get("k" * size) == b"1"
    for call in (cache.get, cache.gets, cache.delete, cache.touch, cache.incr):
        error = raised(cloister.QuotaExceeded, call, "k" * (KEY_MAX + 1))
        assert (error.quota, error.limit, error.used) == ("cache.key", KEY_MAX, KEY_MAX + 1)
        assert error.retry_after is None
    raised(cloister.QuotaExceeded, cache.set, "ü" * 126, b"")
    raised(cloister.QuotaExceeded, cache.get_multi, ["a", "k" * (KEY_MAX + 1)])


def case_a_value_has_up_to_1_mib():
    for size in (VALUE_MAX - 1, VALUE_MAX):
        value = b"v" * (size - 1) + b"e"
        assert cache.set("v", value) is True
        assert cache.get("v") == value
    for extra in (1, 60 << 10, 64 << 10, VALUE_MAX, 4 * VALUE_MAX):
        error = raised(cloister.QuotaExceeded, cache.set, "v", b"v" * (VALUE_MAX + extra))
        assert error.quota == "cache.value" and error.limit >= VALUE_MAX
        assert error.used == VALUE_MAX + extra and error.retry_after is None
    assert raised(cloister.QuotaExceeded, cache.set, "v", b"v" * (VALUE_MAX + 1)).limit == VALUE_MAX
    raised(cloister.QuotaExceeded, cache.set_multi, {"a": b"", "b": b"v" * (VALUE_MAX + 1)})


def case_wrong_types_raise_type_error():
    for key in (None, 1, 1.5, ("a",), bytearray(b"a"), object()):
        for call in (cache.get, cache.gets, cache.delete, cache.touch, cache.incr):
            raised(TypeError, call, key)
        raised(TypeError, cache.set, key, b"")
        raised(TypeError, cache.get_multi, ["a", key] if key.__hash__ else [[]])
    for value in (None, 1, "text", ["a"], object()):
        for call in (cache.set, cache.add, cache.replace):
            raised(TypeError, call, "a", value)
        raised(TypeError, cache.set_multi, {"a": value})
        raised(TypeError, cache.cas, "a", value, b"token")
    raised(TypeError, cache.cas, "a", b"", None)
    raised(TypeError, cache.incr, "a", "1")
    raised(TypeError, cache.incr, "a", 1.5)
    raised(TypeError, cache.incr, "a", 1, "0")
    raised(TypeError, cache.get_multi, "abc")
    raised(TypeError, cache.get_multi, 5)
    assert cache.get("a") is None


def case_each_key_is_metered_once_however_many_answers_it_takes():
    values = {f"k{number}": b"%d" % number + b"v" * (100 << 10) for number in range(100)}
    assert cache.set_multi(values) == []
    # An answer holds ten of them: asked for again and again, what was left out is not metered.
    for _ in range(4):
        assert cache.get_multi(values) == values


def case_add_and_replace():
    assert cache.replace("a", b"0") is False
    assert cache.get("a") is None
    assert cache.add("a", b"1") is True
    assert cache.add("a", b"2") is False
    assert cache.get("a") == b"1"
    assert cache.replace("a", b"3") is True
    assert cache.get("a") == b"3"


def case_delete_says_whether_there_was_one():
    assert cache.delete("a") is False
    cache.set("a", b"")
    assert cache.delete("a") is True
    assert cache.get("a") is None
    assert cache.delete("a") is False


def case_clear_forgets_all():
    cache.set_multi({f"k{number}": b"" for number in range(100)})
    assert cache.clear() is True
    assert cache.get_multi(f"k{number}" for number in range(100)) == {}
    assert cache.set("k1", b"new") is True
    assert cache.get("k1") == b"new"


# --- numbers


def case_incr_and_decr():
    assert cache.incr("n") is None
    assert cache.get("n") is None
    assert cache.incr("n", 5, initial=10) == 10
    assert cache.incr("n", 5, initial=10) == 15
    assert cache.incr("n") == 16
    assert cache.decr("n", 20) == -4
    assert cache.get("n") == b"-4"
    assert cache.incr("n", 0) == -4
    cache.set("n", b"7")
    assert cache.incr("n", 3) == 10
    assert cache.decr("new", initial=0) == 0


def case_incr_of_no_number_is_none_and_changes_nothing():
    wrong = (b"", b"x", b" 1", b"1 ", b"1.0", b"007", b"+1", b"-0", b"1" * 20, b"\xff", b"0x1")
    for value in wrong:
        cache.set("n", value)
        assert cache.incr("n") is None, value
        assert cache.incr("n", initial=1) is None, value
        assert cache.get("n") == value


def case_incr_has_64_bits():
    cache.set("n", b"%d" % (I64_MAX - 1))
    assert cache.incr("n") == I64_MAX
    assert cache.incr("n") is None
    assert cache.get("n") == b"%d" % I64_MAX
    assert cache.incr("low", initial=-I64_MAX - 1) == -I64_MAX - 1
    assert cache.decr("low") is None
    assert cache.incr("n", -I64_MAX) == 0
    raised(OverflowError, cache.incr, "n", I64_MAX + 1)
    raised(OverflowError, cache.incr, "n", 1, I64_MAX + 1)


def case_incr_in_50_threads_loses_none():
    cache.set("n", b"0")
    results = in_threads(50, lambda number: [cache.incr("n") for _ in range(20)])
    assert sorted(sum(results, [])) == list(range(1, 1001))


def case_add_in_50_threads_has_one_winner():
    results = in_threads(50, lambda number: cache.add("lock", b"%d" % number))
    assert results.count(True) == 1 and results.count(False) == 49
    assert cache.get("lock") == b"%d" % results.index(True)


# --- compare and swap


def case_cas_stores_when_nothing_has_changed():
    assert cache.gets("a") == (None, None)
    cache.set("a", b"1")
    value, token = cache.gets("a")
    assert value == b"1" and isinstance(token, bytes)
    assert cache.cas("a", b"2", token) is True
    assert cache.cas("a", b"3", token) is False
    assert cache.get("a") == b"2"
    cache.delete("a")
    assert cache.cas("a", b"4", cache.gets("a")[1] or token) is False
    assert cache.get("a") is None


def case_cas_with_a_token_of_nothing_fails():
    cache.set("a", b"1")
    for token in (b"", b"x", b"\0" * 40, b"t" * 1000):
        assert cache.cas("a", b"2", token) is False
    assert cache.get("a") == b"1"


def case_cas_in_50_threads_loses_no_change():
    cache.set("n", b"0")

    def add_one(number):
        while True:
            value, token = cache.gets("n")
            if cache.cas("n", b"%d" % (int(value) + 1), token):
                return None

    assert in_threads(10, add_one) == [None] * 10
    assert cache.get("n") == b"10"


# --- time


def case_a_value_goes_after_its_ttl():
    for ttl in (0.05, datetime.timedelta(milliseconds=50)):
        assert cache.set("a", b"1", ttl) is True
        eventually(lambda: cache.get("a") is None)
        assert cache.add("a", b"2") is True
    assert cache.set("long", b"1", 3600) and cache.get("long") == b"1"


def case_a_ttl_goes_with_each_call_that_stores():
    assert cache.add("a", b"1", 0.05)
    cache.set("r", b"1")
    assert cache.replace("r", b"2", 0.05)
    assert cache.set_multi({"m": b"1"}, 0.05) == []
    assert cache.incr("i", initial=1, ttl=0.05) == 1
    cache.set("c", b"1")
    assert cache.cas("c", b"2", cache.gets("c")[1], 0.05)
    eventually(lambda: cache.get_multi(["a", "r", "m", "i", "c"]) == {})


def case_touch_changes_the_ttl():
    assert cache.touch("a") is False
    cache.set("a", b"1")
    assert cache.touch("a", 0.05) is True
    eventually(lambda: cache.get("a") is None)
    assert cache.touch("a", 10) is False
    cache.set("a", b"1", 0.3)
    assert cache.touch("a") is True
    cache.set("b", b"1", 0.3)
    eventually(lambda: cache.get("b") is None)
    assert cache.get("a") == b"1"


def case_incr_keeps_the_ttl():
    cache.set("n", b"1", 0.2)
    assert cache.incr("n", ttl=3600) == 2
    eventually(lambda: cache.get("n") is None)


def case_a_ttl_is_more_than_nothing():
    for ttl in (0, -1, -0.5, float("nan"), datetime.timedelta(0), datetime.timedelta(days=-1)):
        raised(ValueError, cache.set, "a", b"1", ttl)
        raised(ValueError, cache.touch, "a", ttl)
    for ttl in ("5", b"5", True, [1]):
        raised(TypeError, cache.set, "a", b"1", ttl)
    for ttl in (1e-9, 1e300, float("inf"), 10**30, datetime.timedelta.max):
        assert cache.set(str(ttl), b"1", ttl) is True
    assert cache.get("inf") == b"1"


# --- many values


def case_many_values():
    values = {"a": b"1", b"b": b"2", "ü": b"3", "empty": b""}
    assert cache.set_multi(values) == []
    assert cache.get_multi(["a", b"b", "ü", "empty", "missing"]) == values
    assert cache.get_multi(iter(["a", "a"])) == {"a": b"1"}
    assert cache.delete_multi(["a", "missing", b"b"]) == 2
    assert cache.get_multi(values) == {"ü": b"3", "empty": b""}


def case_many_of_nothing():
    assert cache.get_multi([]) == {}
    assert cache.set_multi({}) == []
    assert cache.delete_multi([]) == 0


def case_more_values_than_a_call_takes():
    values = {f"k{number}": b"%d" % number for number in range(1001)}
    assert cache.set_multi(values, 60) == []
    assert cache.get_multi(values) == values
    assert cache.delete_multi(values) == 1001


def case_more_bytes_than_a_call_takes():
    values = {f"k{number}": bytes([number]) * 900_000 for number in range(5)}
    values["largest"] = b"v" * VALUE_MAX
    assert cache.set_multi(values) == []
    assert cache.get_multi(values) == values
    assert cache.get_multi(reversed(list(values))) == values


# --- JSON


def case_json_keeps_what_json_can_say():
    for value in (None, True, 0, -1.5, "ü\0", [], [1, ["a"]], {"a": {"b": None}}, "", "\ud800"):
        assert cache.json.set("j", value) is True
        assert cache.json.get("j", "default") == value
    assert cache.json.get("missing", 5) == 5
    assert cache.json.set_multi({"a": [1], "b": {"c": 2}}, 60) == []
    assert cache.json.get_multi(["a", "b", "x"]) == {"a": [1], "b": {"c": 2}}
    assert cache.json.add("a", 2) is False and cache.json.replace("a", 3) is True
    value, token = cache.json.gets("a")
    assert value == 3 and cache.json.cas("a", 4, token) and not cache.json.cas("a", 5, token)
    cache.json.set("n", 1)
    assert cache.json.incr("n") == 2 and cache.json.get("n") == 2
    assert cache.json.delete("n") and cache.json.delete_multi(["a", "b"]) == 2


def case_json_refuses_what_it_cannot_say():
    for value in (b"bytes", {1, 2}, object(), {("a",): 1}, {1: 2}, [{"a": ({None: 1},)}]):
        raised(TypeError, cache.json.set, "j", value)
    raised(ValueError, cache.json.set, "j", float("nan"))
    assert cache.get("j") is None


def case_what_is_no_json_is_a_miss():
    for data in (b"", b"{", b"\xff", b"[" * 100_000, b"\x80\x04."):
        cache.set("j", data)
        assert cache.json.get("j", "default") == "default", data[:10]
        assert cache.json.get_multi(["j"]) == {}


# --- memoize


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def counted(**options):
    """A memoized function, and the list of what it was called with."""
    calls = []

    @cache.memoize(**options)
    def function(*args, **kwargs):
        calls.append((args, kwargs))
        return args, len(calls)

    return function, calls


def case_memoize_calls_once_for_the_same_arguments():
    calls = []

    @cache.memoize(ttl=60)
    def price(item, currency="EUR"):
        calls.append(item)
        return {"item": item, "set": {1}, "date": datetime.date(2026, 1, 2)}

    first = price("a")
    assert first["set"] == {1}
    assert price("a", "EUR") == price(item="a") == price(currency="EUR", item="a") == first
    assert calls == ["a"]
    price("a", "USD")
    price("b")
    assert calls == ["a", "a", "b"]
    assert price.uncached("a") == first and calls == ["a", "a", "b", "a"]
    assert price.__name__ == "price"


def case_memoize_tells_arguments_apart():
    function, calls = counted()
    different = [1, True, 1.0, "1", b"1", None, "None", (1,), [1], (1, 2), ("1,2",), ((1,), 2),
                 {"a": 1}, {"a": "1"}, {1}, frozenset({1}), Colour.RED, Colour.BLUE, str, int,
                 datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2), "x" * 1000, "x" * 1001,
                 decimal.Decimal(1), "a|b", "a\0", "\ud800"]
    for value in different:
        function(value)
    function("a", "b")
    function("a','b")
    assert len(calls) == len(different) + 2
    for value in different:
        function(value)
    function({"b": 1, "a": 2})
    count = len(calls)
    assert function({"a": 2, "b": 1}) == function({"b": 1, "a": 2}) and len(calls) == count
    raised(TypeError, function, object())


def case_memoize_keeps_none_and_no_exception():
    calls = []

    @cache.memoize(ttl=60)
    def function(value):
        calls.append(value)
        if value:
            raise KeyError(value)

    assert function(0) is None and function(0) is None and calls == [0]
    raised(KeyError, function, 1)
    raised(KeyError, function, 1)
    assert calls == [0, 1, 1]


def case_memoize_forgets_one_result():
    function, calls = counted(ttl=60)
    function(1), function(2)
    assert function.invalidate(1) is True and function.invalidate(1) is False
    function(1), function(2)
    assert len(calls) == 3


def case_memoize_takes_a_key_and_a_version():
    function, calls = counted(key=lambda thing, *rest: (7, str(thing)[:1]))
    assert function("ab") == function("ac", 5) and len(calls) == 1
    function("b")
    assert len(calls) == 2

    @cache.memoize(version=1)
    def old():
        return "old"

    @cache.memoize(version=2)
    def new():
        return "new"

    new.uncached.__qualname__ = old.uncached.__qualname__
    assert old.cache_key() != new.cache_key()


class Cart:
    def __init__(self, number):
        self.number = number
        self.calls = 0

    @cache.memoize(ttl=60, key=lambda self, rate: (self.number, rate))
    def total(self, rate):
        self.calls += 1
        return self.number * rate


def case_memoize_of_a_method():
    first, same, other = Cart(1), Cart(1), Cart(2)
    assert first.total(3) == same.total(3) == 3 and other.total(3) == 6
    assert (first.calls, same.calls, other.calls) == (1, 0, 1)
    assert Cart.total.invalidate(first, 3) is True
    assert same.total(3) == 3 and same.calls == 1


def case_memoize_takes_a_broken_value_as_a_miss():
    function, calls = counted(ttl=60)
    function(1)
    for data in (b"", b"junk", b"\x80\x04.", b"[1,2]", b"\x80\x04K\x01."):
        cache.set(function.cache_key(1), data)
        function(1)
    assert len(calls) == 6


def case_memoize_is_for_plain_functions():
    async def coroutine():
        return None

    def generator():
        yield None

    for function in (coroutine, generator, lambda: None):
        raised(TypeError, cache.memoize(ttl=1), function)
    raised(TypeError, cache.memoize, len)
    raised(ValueError, cache.memoize, ttl=0)

    @cache.memoize()
    def of_no_use():
        return lambda: None

    raised(TypeError, of_no_use)


# --- config: the app has CONFIG


def case_config_is_a_mapping_of_what_was_set():
    assert dict(config) == CONFIG
    assert len(config) == len(CONFIG) and set(config) == set(CONFIG)
    assert config == CONFIG and "PORT" in config and "MISSING" not in config
    assert config["TEXT"] == CONFIG["TEXT"] and config["EMPTY"] == ""
    assert config.get("MISSING") is None and config.get("MISSING", "x") == "x"
    assert config["LARGE"] not in repr(config)


def case_config_is_in_the_environment_too():
    for key, value in CONFIG.items():
        assert os.environ[key] == value, key


def case_a_missing_key_is_a_key_error_that_names_it():
    for call in (lambda: config["MISSING"], lambda: config.get_int("MISSING")):
        try:
            call()
        except cloister.ConfigError as error:
            assert isinstance(error, KeyError) and "MISSING" in str(error)
        else:
            raise AssertionError("nothing was raised")


def case_typed_values():
    assert config.get_str("PORT") == "8000"
    assert config.get_int("PORT") == 8000 and config.get_float("RATIO") == 0.25
    assert config.get_bool("ON") is True and config.get_bool("OFF") is False
    assert config.get_list("LIST") == ["a", "b", "c"] and config.get_list("EMPTY") == []
    assert config.get_json("JSON") == {"a": [1, None]}
    assert config.get_int("MISSING", 7) == 7 and config.get_json("MISSING", None) is None


def case_a_wrong_form_names_the_key_and_not_the_value():
    for call, key in (
        (config.get_int, "RATIO"),
        (config.get_float, "TEXT"),
        (config.get_bool, "PORT"),
        (config.get_json, "TEXT"),
    ):
        error = raised(cloister.ConfigError, call, key)
        assert key in str(error) and CONFIG[key] not in str(error), str(error)


def case_config_cannot_be_written():
    def assign():
        config["PORT"] = "1"

    raised(TypeError, assign)


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}
# An app has less for seconds after the last ones.
CASES |= object_cases.CASES | query_cases.CASES | quota_cases.CASES
