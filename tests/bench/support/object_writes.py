"""Writing small objects through persistence, beside doing the same by hand.

By hand: what a program does that wants a file of its own to survive power loss: a temporary file,
written and synced, renamed, its directory synced.
"""

import concurrent.futures
import os
import pathlib
import time

from raw_http import request

SIZE = 4096
# Of 32 writers: so many workers, each with as many threads as it may have calls under way.
WORKERS, THREADS = 4, 8
APP = """
import itertools
import os
import threading
import time
from cloister import persistence

def application(environ, start_response):
    body = b'Hello, world'
    if environ['QUERY_STRING']:
        body = str(run(*map(int, environ['QUERY_STRING'].split(',')))).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]

def write(count):
    rest = os.urandom(4096 - 16)
    for number in range(count):
        persistence.write(b'%016d' % number + rest)

def run(count, threads):
    if threads == 1:
        began = time.perf_counter()
        write(count)
        return time.perf_counter() - began
    started = [threading.Thread(target=write, args=(count,)) for _ in range(threads)]
    began = time.perf_counter()
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return time.perf_counter() - began
"""


def by_hand(folder, count):
    """Seconds for so many files."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    rest = os.urandom(SIZE - 16)
    began = time.perf_counter()
    for number in range(count):
        file = os.open(folder / "new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(file, b"%016d" % number + rest)
        os.fsync(file)
        os.close(file)
        os.rename(folder / "new", folder / str(number))
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)
    seconds = time.perf_counter() - began
    for path in folder.iterdir():
        path.unlink()
    return seconds


class ObjectWrites:
    """An app of `node` that writes objects."""

    def __init__(self, node, folder):
        self.node = node
        # On the file system of the node's state.
        self.folder = pathlib.Path(folder) / "by-hand"
        for workers in (1, WORKERS):
            node.deploy(f"objects{workers}", workers, APP)

    def ask(self, workers, count, threads):
        address = ("127.0.0.1", self.node.node.port)
        host = f"objects{workers}.bench.localhost"
        answer = request(address, target=f"/?{count},{threads}", host=host, timeout=100.0)
        assert answer.status == 200, answer.body
        return float(answer.body)

    def round(self, count):
        """Microseconds a write of one writer on both sides, and of 32 writers at once."""
        hand = self.by_hand(count)
        one = self.ask(1, count, 1) / count
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            many = max(pool.map(lambda _: self.ask(WORKERS, count, THREADS), range(WORKERS)))
        many /= count * WORKERS * THREADS
        return {"one_us": one * 1e6, "hand_us": hand * 1e6, "many_us": many * 1e6}

    def by_hand(self, count):
        return by_hand(self.folder, count) / count
