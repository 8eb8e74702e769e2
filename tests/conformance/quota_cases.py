"""What happens to an app that uses more of the cache than it may. cases.py takes them in."""

import time

import cloister
from cloister import cache
from expect import eventually, raised

VALUE_MAX = 1 << 20


def case_more_calls_than_a_second_has():
    def use_up():
        for _ in range(50):
            cache.get_multi([f"k{number}" for number in range(1000)])

    error = raised(cloister.QuotaExceeded, use_up)
    assert (error.quota, error.limit) == ("cache.calls", 5000)
    assert error.used > error.limit
    assert error.retry_after >= 0.001
    time.sleep(max(error.retry_after, 1.2))
    assert cache.set("a", b"1") is True


def use_up_nearly():
    """Leaves the app fewer than ten calls, and what comes meanwhile."""
    for count in (500, 100, 10):
        keys = [f"k{number}" for number in range(count)]
        try:
            while True:
                cache.get_multi(keys)
        except cloister.QuotaExceeded:
            pass


def case_large_values_are_several_calls():
    value = b"v" * VALUE_MAX

    def is_refused_as_many(call):
        use_up_nearly()
        try:
            call()
            cache.get("b")  # owes nothing itself
        except cloister.QuotaExceeded as error:
            assert (error.quota, error.limit) == ("cache.calls", 5000)
            # Of one call each it would be 5,001 at most.
            return error.used > 5030 and error.retry_after >= 0.001
        return False

    assert cache.set("a", value) is True
    _, token = cache.gets("a")
    another = token[:-1] + (b"1" if token.endswith(b"0") else b"0")
    for call in (
        lambda: cache.set("a", value),
        lambda: cache.get("a"),
        lambda: cache.get_multi(["a"]),
        # It sends little, and has 1 MiB hashed.
        lambda: cache.cas("a", b"", another),
    ):
        eventually(lambda call=call: is_refused_as_many(call))
    time.sleep(1.2)
    assert cache.get("a") == value


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}
