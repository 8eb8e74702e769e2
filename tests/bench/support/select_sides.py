"""A point SELECT by three ways: a worker's cloister.db, psycopg2 to PostgreSQL, sqlite3 in process.

The last two are clients that this starts: select_sides.py (sqlite3 FILE | psycopg2 FOLDER) COUNT
CPU says "ready", waits for a line on stdin, and prints the seconds that COUNT times took.
"""

import contextlib
import os
import subprocess
import sys
import time

ROWS = 10_000
QUERY = "SELECT name FROM items WHERE id = {}"
PROGRAMS = "/usr/lib/postgresql/15/bin"

APP = """
import time
from cloister import db

connection = db.connect(isolation_level=None)

def application(environ, start_response):
    body = b'Hello, world'
    if environ['QUERY_STRING']:
        body = str(run(int(environ['QUERY_STRING']))).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]

def run(count):
    if count == 0:
        connection.execute('CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, name TEXT)')
        rows = [(n, 'n%063d' % n) for n in range(10_000)]
        connection.executemany('INSERT OR REPLACE INTO items VALUES (?, ?)', rows)
        return 0
    cursor = connection.cursor()
    began = time.perf_counter()
    for n in range(count):
        cursor.execute('SELECT name FROM items WHERE id = ?', (n % 10_000,))
        cursor.fetchone()
    return time.perf_counter() - began
"""


@contextlib.contextmanager
def postgresql(folder):
    """A server of its own on a socket in `folder`, tuned for nothing; the postmaster's pid."""
    folder = str(folder)
    os.makedirs(folder)
    user = []
    if os.geteuid() == 0:
        subprocess.run(["chown", "postgres:postgres", folder], check=True)
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = f"{folder}/data"
    options = f"-k {folder} -c listen_addresses="
    quiet = {"stdout": subprocess.DEVNULL, "check": True, "cwd": "/"}
    subprocess.run([*user, f"{PROGRAMS}/initdb", "-D", data, "-A", "trust", "-U", "bench"], **quiet)
    control = [*user, f"{PROGRAMS}/pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-l", f"{folder}/log", "-o", options, "start"], **quiet)
    try:
        yield int(open_pid(data))
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], **quiet)


def open_pid(data):
    with open(f"{data}/postmaster.pid", encoding="ascii") as file:
        return file.readline()


def seconds_of(side, path, count, cpu):
    """What a client of that side takes, pinned to one CPU with its server."""
    command = ["/usr/bin/python3.11", __file__, side, str(path), str(count), str(cpu)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    done, _ = process.communicate("\n")
    return float(done)


def connect(side, path):
    if side == "sqlite3":
        import sqlite3

        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection, "?"
    import psycopg2

    connection = psycopg2.connect(host=path, user="bench", dbname="postgres")
    connection.autocommit = True
    return connection, "%s"


def main():
    side, path, count, cpu = sys.argv[1:]
    # Before it connects: PostgreSQL's process for it is started by the postmaster, which is pinned.
    os.sched_setaffinity(0, {int(cpu)})
    connection, mark = connect(side, path)
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS items")
    cursor.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
    cursor.execute("BEGIN")
    cursor.executemany(
        f"INSERT INTO items VALUES ({mark}, {mark})", [(n, f"n{n:063}") for n in range(ROWS)]
    )
    cursor.execute("COMMIT")
    query = QUERY.format(mark)
    for n in range(1000):
        cursor.execute(query, (n,))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for n in range(int(count)):
        cursor.execute(query, (n % ROWS,))
        cursor.fetchone()
    print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
