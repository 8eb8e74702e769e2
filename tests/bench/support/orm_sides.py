"""What SQLAlchemy costs: the driver alone, Core, and the ORM, for one row, one user's, and all.

The same code runs in a worker, on cloister.db, and in a process with sqlite3 and a file: as a
program, orm_sides.py FILE COUNT CPU says "ready", waits for a line, and prints what it measured.
"""

import json
import os
import subprocess
import sys

LAYERS = ("driver", "core", "orm")
# What is asked for, and how many rows that is.
ASKED = {"one row": 1, "one user": 100, "all rows": 10_000}

CASES = """
import time

from sqlalchemy import Column, Integer, String, create_engine, select
from sqlalchemy.orm import Session, declarative_base

Base = declarative_base()


class Item(Base):
    __tablename__ = 'items'
    id = Column(Integer, primary_key=True)
    user = Column(Integer, index=True, nullable=False)
    name = Column(String(64), nullable=False)
    size = Column(Integer, nullable=False)


def prepare(url):
    engine = create_engine(url)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(Item.__table__.insert(), [
            {'id': n, 'user': n // 100, 'name': 'n%063d' % n, 'size': n} for n in range(10_000)])
    return engine


def measure(engine, driver, count):
    '''Microseconds a time, by layer and what is asked for.'''
    connection = engine.connect()
    cursor = driver.cursor()
    table = Item.__table__

    def by_driver(where, parameters):
        cursor.execute('SELECT id, user, name, size FROM items' + where, parameters)
        return cursor.fetchall()

    def by_core(statement):
        return connection.execute(statement).fetchall()

    def by_orm(statement):
        with Session(bind=connection) as session:
            return session.scalars(statement).all()

    layers = {
        'driver': {
            'one row': lambda n: by_driver(' WHERE id = ?', (n % 10_000,)),
            'one user': lambda n: by_driver(' WHERE user = ?', (n % 100,)),
            'all rows': lambda n: by_driver('', ()),
        },
        'core': {
            'one row': lambda n: by_core(select(table).where(table.c.id == n % 10_000)),
            'one user': lambda n: by_core(select(table).where(table.c.user == n % 100)),
            'all rows': lambda n: by_core(select(table)),
        },
        'orm': {
            'one row': lambda n: by_orm(select(Item).where(Item.id == n % 10_000)),
            'one user': lambda n: by_orm(select(Item).where(Item.user == n % 100)),
            'all rows': lambda n: by_orm(select(Item)),
        },
    }
    expected = {'one row': 1, 'one user': 100, 'all rows': 10_000}
    measured = {}
    for layer, asked in layers.items():
        for what, ask in asked.items():
            assert len(ask(7)) == expected[what], (layer, what)
            times = max(count // expected[what], 5)
            began = time.perf_counter()
            for n in range(times):
                ask(n)
            measured[layer + ' ' + what] = (time.perf_counter() - began) / times * 1e6
    connection.close()
    return measured
"""

APP = CASES + """

import json
import cloister.sqlalchemy
from cloister import db

engine = None


def application(environ, start_response):
    global engine
    body = b'Hello, world'
    if environ['QUERY_STRING']:
        if engine is None:
            engine = prepare('cloister://')
        driver = db.connect(isolation_level=None)
        body = json.dumps(measure(engine, driver, int(environ['QUERY_STRING']))).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
"""


def in_process(path, count, cpu):
    """What a process with sqlite3 measured, pinned to one CPU."""
    command = ["/usr/bin/python3.11", __file__, str(path), str(count), str(cpu)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    done, _ = process.communicate("\n")
    return json.loads(done)


def main():
    import sqlite3

    path, count, cpu = sys.argv[1:]
    os.sched_setaffinity(0, {int(cpu)})
    cases = {}
    exec(CASES, cases)  # pylint: disable=exec-used
    driver = sqlite3.connect(path, isolation_level=None)
    driver.execute("PRAGMA journal_mode = WAL")
    engine = cases["prepare"]("sqlite:///" + path)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(cases["measure"](engine, driver, int(count))), flush=True)


if __name__ == "__main__":
    main()
