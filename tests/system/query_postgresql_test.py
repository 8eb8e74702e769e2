"""An app's database on a PostgreSQL server: made by the node, walled in, back after faults."""

import json
import os
import re
import signal
import threading

import apps
import pytest
import sql_servers
from query_app import SOURCE, ask
from waiting import wait_until

APP, OTHER = "demo/shop", "demo/other"


@pytest.fixture(scope="module")
def postgresql():
    server = sql_servers.Postgresql()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def shop(make_node, tmp_path, postgresql):
    node = make_node({"query": postgresql.settings}).start()
    node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    return node


def query_process(node):
    found = node.processes("query-postgresql")
    assert len(found) <= 1
    return found[0] if found else None


def test_statements_run_on_the_server(shop, postgresql):
    made = set(postgresql.databases())
    assert ask(shop, APP, "db.engine()") == "'postgresql'"
    assert ask(shop, APP, "sql('CREATE TABLE t (id SERIAL PRIMARY KEY, name TEXT)')") == "[]"
    assert ask(shop, APP, "sql('INSERT INTO t (name) VALUES (?)', ('tea',))") == "[]"
    assert ask(shop, APP, "sql('SELECT * FROM t')") == "[(1, 'tea')]"
    (database,) = set(postgresql.databases()) - made
    assert postgresql.psql("SELECT name FROM t", database) == ["tea"]
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


def test_a_role_has_the_rights_of_its_own_schema_only(shop, postgresql):
    made = set(postgresql.databases())
    ask(shop, APP, "sql('SELECT 1')")
    (name,) = set(postgresql.databases()) - made
    assert postgresql.psql(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit "
        f"FROM pg_roles WHERE rolname = '{name}'") == ["f|f|f|f|f|f"]
    assert postgresql.psql(
        f"SELECT has_database_privilege('{name}', datname, 'CREATE, TEMPORARY') FROM pg_database "
        f"WHERE datname = '{name}'") == ["f"]


# In the body of a function no rule of words holds: the rights do.
INSIDE = {
    "COPY (SELECT 1) TO ''/tmp/x''": "privileges of the pg_write_server_files role",
    "COPY (SELECT 1) TO PROGRAM ''true''": "privileges of the pg_execute_server_program role",
    "SET ROLE postgres": "permission denied",
    "SET SESSION AUTHORIZATION postgres": "permission denied",
    "CREATE ROLE other": "permission denied",
    "CREATE DATABASE other": "cannot be executed",
    "CREATE SCHEMA other": "permission denied",
    "CREATE TEMP TABLE x (a int)": "permission denied",
    "CREATE EXTENSION dblink": "permission denied",
    "ALTER SYSTEM SET fsync = off": "cannot be executed",
    "SELECT pg_read_file(''/etc/passwd'')": "permission denied",
    "SELECT lo_import(''/etc/passwd'')": "permission denied",
    "SELECT * FROM pg_authid": "permission denied",
    "SELECT * FROM pg_database": "permission denied",
    "SELECT * FROM pg_roles": "permission denied",
    "SELECT * FROM pg_stat_activity": "permission denied",
    "SELECT * FROM pg_stat_get_activity(NULL)": "permission denied",
    "SELECT pg_advisory_lock(1)": "permission denied",
    "SELECT pg_advisory_xact_lock_shared(1, 2)": "permission denied",
    "SELECT pg_try_advisory_lock(1)": "permission denied",
    "SELECT pg_logical_emit_message(false, ''a'', ''b'')": "permission denied",
}


@pytest.mark.parametrize("statement", INSIDE)
def test_a_function_gets_no_further(shop, statement):
    sql = f"DO $$ BEGIN EXECUTE '{statement}'; END $$"
    answer = ask(shop, APP, f"sql({sql!r})")
    assert INSIDE[statement] in answer, answer
    assert answer.split(":")[0] in ("NotSupportedError", "InternalError"), answer


def test_what_a_role_changes_of_itself_is_put_back(shop, postgresql):
    made = set(postgresql.databases())
    ask(shop, APP, "sql('SELECT 1')")
    (name,) = set(postgresql.databases()) - made
    for change in ("PASSWORD ''other''", "SET statement_timeout = ''1ms''",
                   f"IN DATABASE {name} SET search_path = nowhere"):
        sql = f"DO $$ BEGIN EXECUTE 'ALTER ROLE {name} {change}'; END $$"
        assert ask(shop, APP, f"sql({sql!r})") == "[]"
    os.kill(query_process(shop).pid, signal.SIGKILL)
    wait_until(lambda: ask(shop, APP, "sql('SELECT count(*) FROM generate_series(1, 100000)')")
               == "[(100000,)]", "it works again")
    assert ask(shop, APP, "sql('SHOW search_path')") == "[('\"$user\", public',)]"


def database_of(node, postgresql):
    """Of the app that asks for the first time."""
    made = set(postgresql.databases())
    ask(node, APP, "sql('SELECT 1')")
    (name,) = set(postgresql.databases()) - made
    return name


def start_again(node):
    """Its next statement has a new process."""
    process = query_process(node)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.is_alive(), "it has ended")
    wait_until(lambda: ask(node, APP, "sql('SELECT 1')") == "[(1,)]", "there is another one")


def test_a_database_of_an_earlier_version_gets_the_rights_of_this_one(shop, postgresql):
    name = database_of(shop, postgresql)
    postgresql.psql("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC", name)
    postgresql.psql(f"COMMENT ON DATABASE {name} IS 'cloister 1'")
    # The node is a superuser there, and runs nothing of the app's.
    for statement in ("CREATE TABLE ran (who text)",
                      "CREATE FUNCTION trap(oid, regnamespace) RETURNS bool LANGUAGE plpgsql AS $$ "
                      "BEGIN INSERT INTO public.ran VALUES (current_user); RETURN $1 = $2::oid; "
                      "END $$",
                      "DO $$ BEGIN CREATE OPERATOR public.= (LEFTARG = oid, "
                      "RIGHTARG = regnamespace, FUNCTION = public.trap); END $$"):
        assert ask(shop, APP, f"sql({statement!r})") == "[]"
    start_again(shop)
    assert "permission denied" in ask(shop, APP, "sql('SELECT pg_advisory_lock(1)')")
    assert ask(shop, APP, "sql('SELECT * FROM ran')") == "[]"


def test_the_servers_log_and_its_disk_are_not_the_apps(shop, postgresql):
    assert ask(shop, APP, "sql('SHOW temp_file_limit')") == "[('1GB',)]"
    before = len(postgresql.log())
    loud = "DO $$ BEGIN RAISE LOG '%', repeat('loud', 100000); END $$"
    assert ask(shop, APP, f"sql({loud!r})") == "[]"
    wrong = "sql(\"SELECT '\" + 'wrong' * 10000 + \"' FROM nowhere\")"
    assert "does not exist" in ask(shop, APP, wrong)
    assert "wrong" not in postgresql.log()[before:] and len(postgresql.log()) < before + 10000
    # Nor may it change that for itself.
    name = ask(shop, APP, "sql('SELECT current_user')[0][0]").strip("'")
    for change in ("SET log_min_messages = ''log''", "RESET log_min_messages"):
        sql = f"DO $$ BEGIN EXECUTE 'ALTER ROLE {name} {change}'; END $$"
        assert "permission denied" in ask(shop, APP, f"sql({sql!r})")


def test_an_app_cannot_make_its_database_look_small(shop, postgresql):
    name = database_of(shop, postgresql)
    for statement in ("CREATE FUNCTION nought(bigint, int) RETURNS bigint LANGUAGE sql "
                      "AS 'SELECT 0'",
                      "DO $$ BEGIN CREATE OPERATOR public.- (LEFTARG = bigint, RIGHTARG = int, "
                      "FUNCTION = public.nought); END $$",
                      "CREATE TABLE t (a text)"):
        assert ask(shop, APP, f"sql({statement!r})") == "[]"
    postgresql.psql(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
    start_again(shop)
    shop.cli("quota", "set", APP, "query.bytes=4MiB")
    insert = "sql(\"INSERT INTO t SELECT md5(i::text) FROM generate_series(1, 10000) i\")"
    wait_until(lambda: ask(shop, APP, insert).startswith("QuotaExceeded query.bytes"), "it is full")


def test_the_session_is_put_back(shop):
    ask(shop, APP, "sql(\"SELECT set_config('search_path', 'nowhere', false)\")")
    ask(shop, APP, "sql(\"DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'; END $$\")")
    code = "[sql('SHOW search_path')[0][0] for _ in range(12)]"
    assert set(eval(ask(shop, APP, code))) == {'"$user", public'}
    code = "{sql(\"SELECT count(*) FROM pg_cursors WHERE name = 'c'\")[0][0] for _ in range(12)}"
    # The connection is put back while others are used.
    wait_until(lambda: ask(shop, APP, code) == "{0}", "no cursor is left")


def test_another_apps_tables_cannot_be_named(shop, tmp_path):
    shop.deploy(apps.write_app(tmp_path / "other", SOURCE), OTHER)
    ask(shop, APP, "sql('CREATE TABLE mine (a int)')")
    assert 'relation "mine" does not exist' in ask(shop, OTHER, "sql('SELECT * FROM mine')")
    code = "sql(\"SELECT relname FROM pg_class WHERE relname = 'mine'\")"
    assert ask(shop, OTHER, code) == "[]"
    assert len(shop.processes("query-postgresql")) == 2


def test_a_statement_that_runs_for_ever_is_stopped(shop):
    shop.cli("quota", "set", APP, "query.statement=300ms")
    answer = ask(shop, APP, "sql('SELECT count(*) FROM generate_series(1, 100000000000)')")
    assert answer.startswith("QuotaExceeded query.statement 300 "), answer
    assert ask(shop, APP, "sql('SELECT 1')") == "[(1,)]"


def test_a_slow_statement_stops_no_other(shop):
    answers = []
    asker = threading.Thread(target=lambda: answers.append(ask(
        shop, APP, "sql('SELECT count(*) FROM generate_series(1, 100000000000)')")))
    shop.cli("quota", "set", APP, "query.statement=3s")
    ask(shop, APP, "sql('SELECT 1')")
    asker.start()
    for _ in range(20):
        assert ask(shop, APP, "sql('SELECT 1')") == "[(1,)]"
    assert not answers
    asker.join()
    assert answers[0].startswith("QuotaExceeded query.statement"), answers


def test_a_statement_of_a_process_that_has_died_ends(shop, postgresql):
    name = database_of(shop, postgresql)
    asker = threading.Thread(target=lambda: ask(
        shop, APP, "sql('SELECT count(*) FROM generate_series(1, 100000000000)')"))
    active = f"SELECT 1 FROM pg_stat_activity WHERE usename = '{name}' AND state = 'active'"
    asker.start()
    wait_until(lambda: postgresql.psql(active), "it runs")
    os.kill(query_process(shop).pid, signal.SIGKILL)
    asker.join()
    wait_until(lambda: not postgresql.psql(active), "it has ended")


def test_a_statement_does_not_outlive_its_process_whatever_it_does(shop, postgresql):
    name = database_of(shop, postgresql)
    shop.cli("quota", "set", APP, "query.statement=300ms")
    stubborn = """DO $$ BEGIN
PERFORM set_config('client_connection_check_interval', '0', false);
PERFORM set_config('statement_timeout', '0', false);
LOOP
  BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END;
END LOOP; END $$"""
    asker = threading.Thread(target=lambda: ask(shop, APP, f"sql({stubborn!r})"))
    active = f"SELECT 1 FROM pg_stat_activity WHERE usename = '{name}' AND state = 'active'"
    asker.start()
    wait_until(lambda: postgresql.psql(active), "it runs")
    os.kill(query_process(shop).pid, signal.SIGKILL)
    asker.join()
    wait_until(lambda: not postgresql.psql(active), "it has ended", seconds=40)


def test_a_result_that_is_too_large_is_refused(shop):
    answer = ask(shop, APP, "sql(\"SELECT repeat('x', 1000000) FROM generate_series(1, 50)\")")
    assert answer.startswith("QuotaExceeded query.result 16777216 "), answer
    assert ask(shop, APP, "len(sql(\"SELECT repeat('x', 16000000)\")[0][0])") == "16000000"
    code = """
connection = db.connect(isolation_level=None)
connection.execute("CREATE TABLE r (a text)")
try:
    connection.execute("INSERT INTO r SELECT repeat('x', 1000000) FROM generate_series(1, 50) "
                       "RETURNING a")
except cloister.QuotaExceeded as error:
    result = error.quota, connection.execute("SELECT count(*) FROM r").fetchone()
"""
    assert ask(shop, APP, code) == "('query.result', (0,))"


def test_a_full_database_refuses_what_grows(shop):
    shop.cli("quota", "set", APP, "query.bytes=4MiB")
    ask(shop, APP, "sql('CREATE TABLE t (a text)')")
    insert = "sql(\"INSERT INTO t SELECT md5(i::text) FROM generate_series(1, 10000) i\")"

    def is_full():
        return ask(shop, APP, insert).startswith("QuotaExceeded query.bytes 4194304 ")

    wait_until(is_full, "it is full")
    assert ask(shop, APP, "sql('SELECT count(*) > 0 FROM t')") == "[(True,)]"
    assert ask(shop, APP, "sql('TRUNCATE t')") == "[]"
    wait_until(lambda: ask(shop, APP, "sql('INSERT INTO t VALUES (1) RETURNING a')") == "[('1',)]",
               "there is room again")


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


def test_a_check_leaves_nothing(shop, tmp_path):
    ask(shop, APP, "sql('CREATE TABLE t (a int)')")
    ask(shop, APP, "sql('INSERT INTO t VALUES (1)')")
    source = SOURCE + """
sql("INSERT INTO t VALUES (2)")
with db.connect() as connection:
    connection.execute("INSERT INTO t VALUES (3)")
    connection.rollback()
    connection.execute("INSERT INTO t VALUES (4)")
try:
    sql("INSERT INTO nowhere VALUES (2)")
except db.ProgrammingError:
    pass
seen = [row[0] for row in sql("SELECT a FROM t ORDER BY a")]
if seen not in ([1, 2, 4], [1, 2, 2, 4, 4]):
    raise RuntimeError(repr(seen))
"""
    shop.deploy(apps.write_app(tmp_path / "next", source, "1.0.1"), APP)
    # Booting live ran it once more, and that stays; the check's is gone.
    assert ask(shop, APP, "sql('SELECT a FROM t ORDER BY a')") == "[(1,), (2,), (4,)]"
    bad = SOURCE + "\nsql('DROP TABLE t')\nraise RuntimeError('no')\n"
    assert shop.deploy(apps.write_app(tmp_path / "bad", bad, "1.0.2"), APP, check=False).returncode
    assert ask(shop, APP, "sql('SELECT count(*) FROM t')") == "[(3,)]"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_the_server_restarts_under_load(shop, postgresql, how):
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
        postgresql.stop(how)
        wait_until(lambda: any(not answer.startswith("[(") for answer in answers), "it is noticed")
        postgresql.start()
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 100, lambda: answers[-3:])
    finally:
        over.set()
        for thread in threads:
            thread.join()
    failed = {answer for answer in answers if not answer.startswith("[(")}
    assert failed and all(answer.startswith("OperationalError: ") for answer in failed), failed
    # fsync is off in tests, so only a server that was ended in order keeps all.
    stored = set(eval(ask(shop, APP, "[row[0] for row in sql('SELECT n FROM t')]")))
    assert set(acknowledged) <= stored
    assert {worker.pid for worker in shop.workers(APP)} & pids


def test_a_server_that_is_down_is_said(make_node, tmp_path, postgresql):
    node = make_node({"query": {**postgresql.settings,
                                "server": "postgresql://postgres@/postgres?host=/nowhere"}}).start()
    # Before any app asks.
    wait_until(lambda: "query_server_failed" in node.log(), "it is said")
    state = json.loads(node.cli("--json", "status").stdout)["facts"]["databases"]
    assert state.startswith("the server fails: ") and "/nowhere" in state, state
    node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    answer = ask(node, APP, "sql('SELECT 1')")
    assert answer.startswith("OperationalError: the app's database cannot be opened"), answer
    assert "/nowhere" in node.log()
    assert "/nowhere" not in answer, "that is the operator's"
    refused = node.cli("apps", "delete", APP, check=False)
    assert refused.returncode == 1 and "--force" in refused.stderr, refused
    assert "error[unavailable]: what the app has on the SQL server cannot be told: " in \
        refused.stderr, refused
    node.cli("apps", "delete", APP, "--force")
    wait_until(lambda: "query_database_left" in node.log(), "it is said")
    assert re.search(r"query_database_left .*database=cloister_[0-9a-f]{20} ", node.log())


def test_a_deleted_app_leaves_nothing(shop, postgresql):
    made = set(postgresql.databases())
    ask(shop, APP, "sql('CREATE TABLE t (a int)')")
    (name,) = set(postgresql.databases()) - made
    shop.cli("apps", "delete", APP, "--force")
    wait_until(lambda: name not in postgresql.databases(), "the database is gone")
    wait_until(lambda: not postgresql.psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"),
               "the role is gone")


def test_a_node_without_its_key_makes_no_other_databases(shop, make_node, postgresql, tmp_path):
    ask(shop, APP, "sql('CREATE TABLE t (a int)')")
    made = set(postgresql.databases())
    backups = tmp_path / "backups"
    backups.mkdir()
    apps.open_to_all(backups)
    backups.chmod(0o777)
    said = shop.cli("backup", backups / "one").stderr
    assert "without query.key" in said and "SQL server are not in it" in said, said
    answer = json.loads(shop.cli("--json", "backup", backups / "two", "--with-node-key").stdout)
    assert answer["on_sql_server"] is True
    assert (backups / "two/query.key").exists() and not (backups / "one/query.key").exists()
    shop.stop()
    node = make_node({"query": postgresql.settings})
    said = node.cli("restore", backups / "one", "--state-dir", node.state).stderr
    assert "has no query.key" in said, said
    node.start()
    for _ in range(2):
        answer = ask(node, APP, "sql('SELECT count(*) FROM t')")
        assert answer.startswith("OperationalError: the app's database cannot be opened"), answer
    assert "query.key is not there: put it back" in node.log()
    assert not (node.state / "query.key").exists()
    verified = node.cli("verify", check=False)
    assert verified.returncode == 1 and "error[query_key_missing]" in verified.stderr, verified
    assert "query.key is not there" in json.loads(
        node.cli("--json", "verify", check=False).stdout)["query_key"]
    # What it cannot find it does not delete by mistake, and it says that something is left.
    refused = node.cli("apps", "delete", APP, check=False)
    assert refused.returncode == 1 and "query.key is not there" in refused.stderr, refused
    node.cli("apps", "delete", APP, "--force")
    wait_until(lambda: "query_database_left" in node.log(), "it is said")
    assert set(postgresql.databases()) == made
    other = make_node({"query": postgresql.settings})
    other.cli("restore", backups / "two", "--state-dir", other.state)
    key = (other.state / "query.key").read_bytes()
    (other.state / "query.key").write_bytes(bytes(32))
    other.start()
    answer = ask(other, APP, "sql('SELECT count(*) FROM t')")
    assert answer.startswith("OperationalError: the app's database cannot be opened"), answer
    assert "query.key is another one" in other.log()
    (other.state / "query.key").write_bytes(key)
    wait_until(lambda: ask(other, APP, "sql('SELECT count(*) FROM t')") == "[(0,)]", "it is back")
    assert json.loads(other.cli("--json", "verify").stdout)["query_key"] is None


def test_a_release_script_runs_and_the_data_is_the_servers(shop, postgresql, tmp_path):
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
        done = shop.deploy(folder, APP)
        assert "the database is on a server" in done.stdout
    # Once each: what was tried was not kept.
    assert ask(shop, APP, "sql('SELECT version FROM runs')") == "[('2.0.0',), ('3.0.0',)]"
    refused = shop.cli("rollback", APP, "--with-data", "--yes", check=False)
    assert refused.returncode == 1 and "error[snapshot_not_found]" in refused.stderr
    assert "SQL server" in refused.stderr
    shop.cli("rollback", APP)
    assert ask(shop, APP, "sql('SELECT version FROM runs')") == "[('2.0.0',), ('3.0.0',)]"


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
