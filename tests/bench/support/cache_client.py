"""One redis-py client: cache_client.py SOCKET COUNT FIRST NUMBER [CPU]

Says "ready", waits for a line on stdin, gets NUMBER keys from the FIRST on in turn, COUNT times in
all, and prints the seconds that took.
"""

import itertools
import os
import sys
import time

import redis

VALUE = b"v" * 64


def main():
    path = sys.argv[1]
    count, first, number = map(int, sys.argv[2:5])
    if len(sys.argv) > 5:
        os.sched_setaffinity(0, {int(sys.argv[5])})
    client = redis.Redis(unix_socket_path=path)
    keys = [f"bench:{n}" for n in range(first, first + number)]
    client.mset(dict.fromkeys(keys, VALUE))
    get = client.get
    assert get(keys[-1]) == VALUE
    in_turn = list(itertools.islice(itertools.cycle(keys), count))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for key in in_turn:
        get(key)
    print(time.perf_counter() - began, flush=True)


main()
