"""An app whose requests are Python: what tests of the database deploy, and how they ask it."""

SOURCE = '''
import threading
import time
import traceback
import urllib.parse

import cloister
from cloister import db


def sql(text, parameters=(), **options):
    connection = db.connect(**{"isolation_level": None, **options})
    try:
        return connection.execute(text, parameters).fetchall()
    finally:
        connection.close()


def together(count, call):
    results = [None] * count
    def run(number):
        try:
            results[number] = call(number)
        except Exception as error:
            results[number] = type(error).__name__ + ": " + str(error)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def insert_for_ever(environ, start_response):
    """Answers with the number of each row once its commit is acknowledged."""
    write = start_response("200 OK", [])
    number = int(environ["QUERY_STRING"])
    connection = db.connect(isolation_level=None)
    while True:
        connection.execute("INSERT INTO acknowledged VALUES (?)", (number,))
        write(b"%d\\n" % number)
        number += 1


kept = {}


def application(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        insert_for_ever(environ, start_response)
    code = environ["wsgi.input"].read().decode() or "None"
    scope = dict(globals())
    try:
        if "\\n" in code or "=" in code.partition("(")[0]:
            exec(code, scope)
            result = repr(scope.get("result"))
        else:
            result = repr(eval(code, scope))
    except cloister.QuotaExceeded as error:
        result = f"QuotaExceeded {error.quota} {error.limit} {error.used} {error.retry_after}"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
        if getattr(error, "code", None):
            result += f" [{error.code}]"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
'''


def ask(node, app, code, timeout=60.0):
    """What the Python gave, or the exception."""
    answer = node.http(app, "/", method="POST", body=code.encode(), timeout=timeout)
    assert answer.status == 200, (answer.body, node.cli("logs", app).stdout, node.log()[-3000:])
    return answer.body.decode()
