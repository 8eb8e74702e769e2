"""An app's database on a MariaDB server: made by the node, walled in, back after faults."""

import os
import signal
import threading

import apps
import pytest
import sql_servers
from query_app import SOURCE, ask
from waiting import wait_until

APP, OTHER = "demo/shop", "demo/other"
ENDLESS = ("WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 4000000000) "
           "SELECT count(*) FROM r")


@pytest.fixture(scope="module")
def mariadb():
    server = sql_servers.Mariadb()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def shop(make_node, tmp_path, mariadb):
    node = make_node({"query": mariadb.settings}).start()
    node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    return node


def query_process(node):
    found = node.processes("query-mariadb")
    assert len(found) <= 1
    return found[0] if found else None


def database_of(node, mariadb):
    """Of the app that asks for the first time."""
    made = set(mariadb.databases())
    ask(node, APP, "sql('SELECT 1')")
    (name,) = set(mariadb.databases()) - made
    return name


def test_statements_run_on_the_server(shop, mariadb):
    assert ask(shop, APP, "db.engine()") == "'mariadb'"
    database = database_of(shop, mariadb)
    create = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTO_INCREMENT, name TEXT)"
    assert ask(shop, APP, f"sql('{create}')") == "[]"
    assert ask(shop, APP, "sql('INSERT INTO t (name) VALUES (?)', ('tea',))") == "[]"
    assert ask(shop, APP, "sql('SELECT * FROM t')") == "[(1, 'tea')]"
    assert mariadb.sql("SELECT name FROM t", database) == ["tea"]
    assert query_process(shop).command().startswith("cloister-query: demo/shop")
    shop.restart()
    assert ask(shop, APP, "sql('SELECT * FROM t')") == "[(1, 'tea')]"


def test_the_process_is_walled_in(shop):
    ask(shop, APP, "sql('SELECT 1')")
    process = query_process(shop)
    assert process.status("Seccomp") == "2"
    assert process.status("NoNewPrivs") == "1"
    assert int(process.status("CapEff"), 16) == 0 and int(process.status("CapPrm"), 16) == 0
    assert os.listdir(f"/proc/{process.pid}/root") == []
    paths = {link for link in process.descriptors().values() if link.startswith("/")}
    assert paths <= {"/dev/null"}, paths
    assert process.has_own_pid_namespace()


def test_an_account_has_the_rights_of_its_own_database_only(shop, mariadb):
    name = database_of(shop, mariadb)
    everywhere, own = mariadb.sql(f"SHOW GRANTS FOR '{name}'@'%'")
    assert everywhere.startswith("GRANT USAGE ON *.*") and "MAX_USER_CONNECTIONS" in everywhere
    pattern = name.replace("_", r"\_")
    assert own == ("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, "
                   f"CREATE VIEW, SHOW VIEW, TRIGGER ON `{pattern}`.* TO `{name}`@`%`")


# What no rule of words sees, and the rights refuse.
FORBIDDEN = ["SELECT * FROM mysql.user", "SELECT * FROM performance_schema.threads",
             "CREATE TABLE other.t (a int)", "INSERT INTO mysql.db (db) VALUES ('x')",
             "SELECT * FROM `cloister_elsewhere`.t"]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_rights_hold_where_rules_do_not(shop, statement):
    answer = ask(shop, APP, f"sql({statement!r})")
    assert answer.startswith("NotSupportedError: ") and "[sql_refused]" in answer, answer


# The server and the rules have to see the same statement.
SMUGGLED = ["SELECT GET_LOCK\0('hidden', 1)", "SELECT 1\0, GET_LOCK('hidden', 1)",
            "SELECT 1 --\0\n, GET_LOCK('hidden', 1)", "SELECT 1 /*\0*/, /*!GET_LOCK('hidden', 1)*/",
            "SELECT 'a\\', GET_LOCK('hidden', 1), '", "SELECT \xa0GET_LOCK('hidden', 1)",
            "\0", "SELECT `GET_LOCK`('hidden', 1)", "SELECT GET_LOCK/**/('hidden', 1)"]


@pytest.mark.parametrize("statement", SMUGGLED)
def test_what_is_hidden_does_not_run(shop, mariadb, statement):
    ask(shop, APP, f"sql({statement!r})")
    assert mariadb.sql("SELECT coalesce(IS_USED_LOCK('hidden'), 'free')") == ["free"]
    assert ask(shop, APP, "sql('SELECT 1')") == "[(1,)]"


# Each statement of the app's sees its rows only once more, if that stayed on the connection.
STAYS = ["BEGIN DECLARE CONTINUE HANDLER FOR SQLSTATE '45000' SET SESSION sql_select_limit = 1; "
         "SIGNAL SQLSTATE '45000'; END",
         "BEGIN BEGIN DECLARE sql_select_limit INT; END; SET sql_select_limit = 1; END"]


@pytest.mark.parametrize("body", STAYS)
def test_a_trigger_leaves_nothing_on_the_connection(shop, body):
    ask(shop, APP, "sql('CREATE TABLE t (a int)')")
    sql = f"CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW {body}"
    answer = ask(shop, APP, f"sql({sql!r})")
    assert answer.startswith("NotSupportedError: a trigger sets"), answer
    ask(shop, APP, "sql('INSERT INTO t VALUES (1), (2)')")
    assert ask(shop, APP, "{len(sql('SELECT a FROM t')) for _ in range(12)}") == "{2}"


def test_texts_of_views_and_triggers_count(shop):
    shop.cli("quota", "set", APP, "query.bytes=4MiB")
    ask(shop, APP, "sql('CREATE TABLE t (a int)')")
    for create in ("CREATE VIEW {} AS SELECT '{}' AS a",
                   "CREATE TRIGGER {} BEFORE INSERT ON t FOR EACH ROW SET NEW.a = LENGTH('{}')"):
        names = iter(range(100))

        def is_full(create=create, names=names):
            statement = create.format(f"n{next(names)}", "x" * 500000)
            return ask(shop, APP, f"sql({statement!r})").startswith("QuotaExceeded query.bytes")

        wait_until(is_full, "it is full")
        made = next(names)
        for number in range(made):
            ask(shop, APP, f"sql('DROP {create.split()[1]} IF EXISTS n{number}')")
        wait_until(lambda: ask(shop, APP, "sql('INSERT INTO t VALUES (1) RETURNING 1')")
                   == "[(1,)]", "there is room again")


def test_a_server_that_lets_everybody_in_is_refused(shop, mariadb):
    mariadb.sql("CREATE DATABASE anybody; GRANT ALL ON anybody.* TO PUBLIC")
    try:
        answer = ask(shop, APP, "sql('SELECT 1')")
        assert "the node's log" in answer and "[database_lost]" in answer, answer
        assert "mariadb-secure-installation" in shop.log()
    finally:
        mariadb.sql("REVOKE ALL ON anybody.* FROM PUBLIC; DROP DATABASE anybody")
    wait_until(lambda: ask(shop, APP, "sql('SELECT 1')") == "[(1,)]", "it works")


def test_another_apps_tables_cannot_be_named(shop, tmp_path, mariadb):
    name = database_of(shop, mariadb)
    shop.deploy(apps.write_app(tmp_path / "other", SOURCE), OTHER)
    ask(shop, APP, "sql('CREATE TABLE mine (a int)')")
    assert "Table 'mine' doesn't exist" in ask(shop, OTHER, "sql('SELECT * FROM mine')")
    answers = {ask(shop, OTHER, f"sql('SELECT * FROM {database}.mine')").replace(database, "x")
               for database in (name, name[:-1] + "x")}
    assert len(answers) == 1 and "denied" in answers.pop()
    code = "sql(\"SELECT table_name FROM information_schema.tables WHERE table_name = 'mine'\")"
    assert ask(shop, OTHER, code) == "[]"
    code = "sql('SELECT schema_name FROM information_schema.schemata')"
    assert name not in ask(shop, OTHER, code)
    assert len(shop.processes("query-mariadb")) == 2


def test_a_statement_that_runs_for_ever_is_stopped(shop):
    shop.cli("quota", "set", APP, "query.statement=300ms")
    answer = ask(shop, APP, f"sql('{ENDLESS}')")
    assert answer.startswith("QuotaExceeded query.statement 300 "), answer
    assert ask(shop, APP, "sql('SELECT 1')") == "[(1,)]"


def test_a_slow_statement_stops_no_other(shop):
    answers = []
    asker = threading.Thread(target=lambda: answers.append(ask(shop, APP, f"sql('{ENDLESS}')")))
    shop.cli("quota", "set", APP, "query.statement=3s")
    ask(shop, APP, "sql('SELECT 1')")
    asker.start()
    for _ in range(20):
        assert ask(shop, APP, "sql('SELECT 1')") == "[(1,)]"
    assert not answers
    asker.join()
    assert answers[0].startswith("QuotaExceeded query.statement"), answers


def test_a_result_that_is_too_large_is_refused(shop):
    many = ("WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 50) "
            "SELECT repeat('x', 1000000) FROM r")
    answer = ask(shop, APP, f'sql("{many}")')
    assert answer.startswith("QuotaExceeded query.result 16777216 "), answer
    assert ask(shop, APP, "len(sql(\"SELECT repeat('x', 16000000)\")[0][0])") == "16000000"
    code = f"""
connection = db.connect(isolation_level=None)
connection.execute("CREATE TABLE r (a longtext)")
try:
    connection.execute("INSERT INTO r {many} RETURNING a")
except cloister.QuotaExceeded as error:
    result = error.quota, connection.execute("SELECT count(*) FROM r").fetchone()
"""
    assert ask(shop, APP, code) == "('query.result', (0,))"


def test_what_the_server_would_not_take_is_not_sent(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a longblob)')")
    process = query_process(shop)
    answer = ask(shop, APP, "sql('INSERT INTO t VALUES (?)', (bytes((16 << 20) + 30000),))")
    assert answer.startswith("DataError: ") and "max_allowed_packet" in answer, answer
    assert ask(shop, APP, "sql('SELECT count(*) FROM t')") == "[(0,)]"
    assert query_process(shop).pid == process.pid


def test_a_full_database_refuses_what_grows(shop):
    shop.cli("quota", "set", APP, "query.bytes=4MiB")
    ask(shop, APP, "sql('CREATE TABLE t (a text)')")
    insert = ("sql(\"INSERT INTO t WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r "
              "WHERE x < 5000) SELECT repeat('x', 200) FROM r\")")

    def is_full():
        return ask(shop, APP, insert).startswith("QuotaExceeded query.bytes 4194304 ")

    wait_until(is_full, "it is full")
    assert ask(shop, APP, "sql('SELECT count(*) > 0 FROM t')") == "[(1,)]"
    assert ask(shop, APP, "sql('TRUNCATE t')") == "[]"
    wait_until(lambda: ask(shop, APP, "sql(\"INSERT INTO t VALUES ('1') RETURNING a\")")
               == "[('1',)]", "there is room again")


def test_a_transaction_that_is_open_for_too_long_is_rolled_back(shop):
    shop.cli("quota", "set", APP, "query.transaction_time=200ms")
    ask(shop, APP, "sql('CREATE TABLE t (a int)')")
    ask(shop, APP, "\nc = kept['c'] = db.connect()\nc.execute('INSERT INTO t VALUES (1)')\n")
    wait_until(lambda: "[transaction_expired]" in ask(
        shop, APP, "kept['c'].execute('INSERT INTO t VALUES (2)')"), "it was told")
    assert ask(shop, APP, "sql('SELECT count(*) FROM t')") == "[(0,)]"


def test_a_worker_that_dies_in_a_transaction_holds_up_nobody(shop):
    ask(shop, APP, "sql('CREATE TABLE t (a int PRIMARY KEY)')")
    ask(shop, APP, "\nc = kept['c'] = db.connect()\nc.execute('INSERT INTO t VALUES (1)')\n")
    os.kill(shop.workers(APP)[0].pid, signal.SIGKILL)
    assert ask(shop, APP, "sql('INSERT INTO t VALUES (1)')") == "[]"
    assert ask(shop, APP, "sql('SELECT a FROM t')") == "[(1,)]"


MEETING = """
connections = [db.connect() for _ in range(2)]
meet, seen = threading.Barrier(2), []

def change(connection, first, then):
    connection.execute('UPDATE t SET n = 1 WHERE id = ?', (first,))
    meet.wait()
    try:
        connection.execute('UPDATE t SET n = 1 WHERE id = ?', (then,))
    except db.Error as error:
        seen.append((error.code, connection.in_transaction))
        connection.execute('INSERT INTO t VALUES (3, 0)')
        seen.append(connection.in_transaction)
    connection.rollback()

threads = [threading.Thread(target=change, args=(connection, *ids))
           for connection, ids in zip(connections, ((1, 2), (2, 1)))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
result = seen, sql('SELECT * FROM t')
"""


def test_a_deadlock_undoes_one_transaction_and_what_follows_is_in_none_of_it(shop):
    ask(shop, APP, "sql('CREATE TABLE t (id int PRIMARY KEY, n int)')")
    ask(shop, APP, "sql('INSERT INTO t VALUES (1, 0), (2, 0)')")
    assert ask(shop, APP, MEETING) == "([('database_locked', False), True], [(1, 0), (2, 0)])"


WAITING = """
sql('CREATE TABLE t (a int)')
sql('INSERT INTO t VALUES (1)')
connection = db.connect()
connection.execute('INSERT INTO t VALUES (2)')
try:
    sql('ALTER TABLE t ADD b int')
except cloister.QuotaExceeded as error:
    result = error.quota
    connection.commit()
    result = result, sql('SELECT a FROM t')
"""


def test_who_waits_for_a_table_is_stopped_and_nobody_else(shop):
    shop.cli("quota", "set", APP, "query.statement=1s")
    assert ask(shop, APP, WAITING) == "('query.statement', [(1,), (2,)])"


def test_a_check_works_on_a_copy(shop, tmp_path, mariadb):
    name = database_of(shop, mariadb)
    for statement in ("CREATE TABLE t (a int PRIMARY KEY, b int AS (a + 1) STORED)",
                      "CREATE TABLE u (t int REFERENCES t (a))", "CREATE SEQUENCE s",
                      "CREATE VIEW v AS SELECT a FROM t", "INSERT INTO t (a) VALUES (1)",
                      "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW "
                      "INSERT INTO u VALUES (NEW.a)",
                      "SELECT nextval(s)"):
        ask(shop, APP, f"sql('{statement}')")
    source = SOURCE + """
if not sql("SELECT 1 FROM information_schema.tables WHERE table_name = 'more'"):
    sql("CREATE TABLE more (a int)")
    sql("INSERT INTO t (a) VALUES (2)")
    try:
        sql("INSERT INTO u VALUES (7)")
    except db.IntegrityError:
        pass
    seen = sql("SELECT a FROM v ORDER BY a"), sql("SELECT t FROM u"), sql("SELECT nextval(s) > 1")
    if seen != ([(1,), (2,)], [(2,)], [(1,)]):
        raise RuntimeError(repr(seen))
"""
    shop.deploy(apps.write_app(tmp_path / "next", source, "1.0.1"), APP)
    # Booting live ran it once more, and that stays; the check's is gone.
    assert ask(shop, APP, "sql('SELECT t FROM u')") == "[(2,)]"
    bad = SOURCE + "\nsql('DROP TABLE u')\nraise RuntimeError('no')\n"
    assert shop.deploy(apps.write_app(tmp_path / "bad", bad, "1.0.2"), APP, check=False).returncode
    assert ask(shop, APP, "sql('SELECT count(*) FROM u')") == "[(1,)]"
    wait_until(lambda: [each for each in mariadb.databases() if each.startswith(name)] == [name],
               "the copies are gone")
    assert len(mariadb.sql(f"SHOW GRANTS FOR '{name}'@'%'")) == 2


def test_a_check_that_is_gone_before_its_copy_is_there_leaves_none(shop, tmp_path, mariadb):
    name = database_of(shop, mariadb)
    ask(shop, APP, "sql('CREATE TABLE t (a longtext)')")
    for _ in range(8):
        ask(shop, APP, "sql(\"INSERT INTO t SELECT repeat('x', 8000000) FROM (SELECT 1 UNION "
                       "SELECT 2) AS two\")")
    bad = SOURCE + """
import os
threading.Thread(target=sql, args=("SELECT 1",), daemon=True).start()
time.sleep(0.3)
os._exit(3)
"""
    copies = []

    def has_copy():
        copies.extend(each for each in mariadb.databases() if each.startswith(name + "_c"))
        return bool(copies)

    folder = apps.write_app(tmp_path / "bad", bad, "1.0.1")
    deploy = threading.Thread(target=lambda: shop.deploy(folder, APP, check=False))
    deploy.start()
    wait_until(has_copy, "a copy is made")
    deploy.join()
    wait_until(lambda: [each for each in mariadb.databases() if each.startswith(name)] == [name],
               "the copy is gone")
    users = f"SELECT count(*) FROM mysql.user WHERE user LIKE '{name}%'"
    wait_until(lambda: mariadb.sql(users) == ["1"], "its account is gone")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_restarts_under_load(shop, mariadb, how):
    shop.cli("quota", "set", APP, "query.statements=1000000", "limits.workers=2")
    ask(shop, APP, "sql('CREATE TABLE t (n int)')")
    pids = {worker.pid for worker in shop.workers(APP)}
    answers, acknowledged, over = [], [], threading.Event()

    def load(number):
        at = number
        while not over.is_set():
            answer = ask(shop, APP, f"sql('INSERT INTO t VALUES ({at}) RETURNING n')")
            if answer == f"[({at},)]":
                acknowledged.append(at)
            answers.append(answer)
            at += 4

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(acknowledged) > 100, "there is load")
        mariadb.stop(how)
        wait_until(lambda: any(not answer.startswith("[(") for answer in answers), "it is noticed")
        mariadb.start()
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 100, lambda: answers[-3:])
    finally:
        over.set()
        for thread in threads:
            thread.join()
    failed = {answer for answer in answers if not answer.startswith("[(")}
    assert failed and all(answer.startswith("OperationalError: ") for answer in failed), failed
    # The log is not flushed at each commit in tests, but to the system.
    stored = set(eval(ask(shop, APP, "[row[0] for row in sql('SELECT n FROM t')]")))
    if how == signal.SIGTERM:
        assert set(acknowledged) <= stored
    assert pids <= {worker.pid for worker in shop.workers(APP)}


def test_an_app_that_is_deleted_takes_its_database_along(shop, mariadb):
    name = database_of(shop, mariadb)
    shop.cli("apps", "delete", APP, "--force")
    wait_until(lambda: name not in mariadb.databases(), "it is gone")
    assert mariadb.sql(f"SELECT count(*) FROM mysql.user WHERE user = '{name}'") == ["0"]


def test_a_release_script_is_rehearsed(shop, tmp_path):
    script = """
from cloister import db

def run():
    with db.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS runs (version TEXT)")
        connection.execute("INSERT INTO runs VALUES ('VERSION')")
"""
    for version in ("2.0.0", "3.0.0"):
        folder = apps.write_app(tmp_path / version, SOURCE, version, name="shop",
                                files={"bring.py": script.replace("VERSION", version)})
        manifest = folder / "cloister.toml"
        text = manifest.read_text().replace("[entry]", '[entry]\nrelease = "bring:run"')
        manifest.write_text(text)
        shop.deploy(folder, APP)
    # Once each: what was tried was not kept.
    assert ask(shop, APP, "sql('SELECT version FROM runs ORDER BY version')") == (
        "[('2.0.0',), ('3.0.0',)]")


def test_a_hostile_worker_is_ended_and_nothing_else(shop):
    shop.cli("quota", "set", APP, "limits.workers=2")
    ask(shop, APP, "sql('CREATE TABLE t (a int)')")
    process = query_process(shop)
    (worker,) = shop.workers(APP)
    code = """
import _io, struct, time
_io.FileIO(4, "wb", closefd=False).write(struct.pack('<BBHII', 1, 0, 0, 1, 1) + b'no statement')
time.sleep(20)
"""
    answer = shop.http(APP, "/", method="POST", body=code.encode())
    assert answer.status == 502, answer
    wait_until(lambda: not worker.is_alive(), "the worker is gone")
    assert ask(shop, APP, "sql('INSERT INTO t VALUES (1) RETURNING a')") == "[(1,)]"
    assert query_process(shop).pid == process.pid
