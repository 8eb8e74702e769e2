"""One redis-py client: cache_client.py SOCKET COUNT [CPU]

Says "ready", waits for a line on stdin, gets one key COUNT times, and prints the seconds that took.
"""

import os
import sys
import time

import redis

KEY, VALUE = "bench", b"v" * 64


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    if len(sys.argv) > 3:
        os.sched_setaffinity(0, {int(sys.argv[3])})
    client = redis.Redis(unix_socket_path=path)
    client.set(KEY, VALUE)
    get = client.get
    assert get(KEY) == VALUE
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for _ in range(count):
        get(KEY)
    print(time.perf_counter() - began, flush=True)


main()
