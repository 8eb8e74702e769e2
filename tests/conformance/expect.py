"""What cases say that they expect. Deployed with them."""

import threading
import time


def raised(kind, call, *args, **kwargs):
    """The exception of exactly this kind that the call must raise."""
    try:
        result = call(*args, **kwargs)
    except Exception as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}, expected {kind.__name__}"
        return error
    raise AssertionError(f"{result!r}, expected {kind.__name__}")


def eventually(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.005)


def in_threads(count, call):
    """call(number) in so many threads at one time; their results in order."""
    results, start = [None] * count, threading.Barrier(count)

    def run(number):
        start.wait()
        try:
            results[number] = call(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
