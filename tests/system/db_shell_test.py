"""`cloister db shell`: SQL on an app's database, for operators."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios

import apps
import pytest
import sql_servers
from query_app import SOURCE, ask
from waiting import wait_until

APP, OTHER = "demo/shop", "demo/other"
ENDLESS = ("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
           "SELECT count(*) FROM r")


@pytest.fixture(scope="module")
def postgresql():
    server = sql_servers.Postgresql()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="module")
def mariadb():
    server = sql_servers.Mariadb()
    try:
        yield server.start()
    finally:
        server.remove()


def with_goods(node, tmp_path):
    node.deploy(apps.write_app(tmp_path / "shop", SOURCE), APP)
    ask(node, APP, "sql('CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price REAL)')")
    ask(node, APP, "sql(\"INSERT INTO goods VALUES (1, 'tea', 2.5), (2, NULL, 1), (10, 'm', 3)\")")
    return node


@pytest.fixture
def shop(make_node, tmp_path):
    return with_goods(make_node().start(), tmp_path)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def either(request, make_node, tmp_path):
    settings = None
    if request.param != "sqlite":
        settings = {"query": request.getfixturevalue(request.param).settings}
    node = with_goods(make_node(settings).start(), tmp_path)
    node.engine = request.param
    return node


def shell(node, sql, *arguments, check=True, app=APP):
    """What the shell does with a script."""
    done = subprocess.run(node.cli_command("db", "shell", app, *arguments), input=sql,
                          capture_output=True, text=True, timeout=60, cwd="/")
    if check:
        assert done.returncode == 0, (done.stdout, done.stderr, node.log()[-3000:])
    return done


def rows(node, sql, *arguments):
    return [json.loads(line) for line in
            shell(node, sql, "--json", *arguments).stdout.splitlines()]


def goods(node):
    return rows(node, "SELECT id FROM goods ORDER BY id")


# --- Scripts


def test_rows_come_as_a_table_as_json_and_as_csv(either):
    sql = "SELECT id, name, price FROM goods ORDER BY id;"
    assert shell(either, sql).stdout.splitlines() == [
        "id  name  price", " 1  tea     2.5", " 2  NULL    1.0", "10  m       3.0"]
    assert rows(either, sql)[:2] == [{"id": 1, "name": "tea", "price": 2.5},
                                     {"id": 2, "name": None, "price": 1.0}]
    assert shell(either, sql, "--csv").stdout == "id,name,price\n1,tea,2.5\n2,,1.0\n10,m,3.0\n"
    assert either.cli("db", "shell", APP, "-c", sql).stdout.startswith("id  name")
    assert rows(either, "SELECT 1 AS a, 2 AS a") == [{"a": 1, "a_2": 2}]


def test_commands_with_a_dot_work_with_c(either):
    assert shell(either, "", "-c", ".tables").stdout.splitlines() == [
        "name   type", "goods  table"]
    assert rows(either, "", "-c", ".tables") == [{"name": "goods", "type": "table"}]
    assert "price" in shell(either, "", "-c", ".schema goods").stdout
    assert ".schema" in shell(either, "", "-c", ".help").stdout
    nothing = shell(either, "", "-c", ".schema nothing")
    assert (nothing.stdout, nothing.stderr) == ("", "There is none.\n")
    for arguments, sql in ((("-c", ".nothing"), ""), ((), "SELECT 1;\n.tables\n")):
        wrong = shell(either, sql, *arguments, check=False)
        assert wrong.returncode == 2 and "-c .help" in wrong.stderr or "-c .tables" in wrong.stderr
    assert "of line 2" in shell(either, "SELECT 1;\n.tables\n", check=False).stderr


def test_texts_that_would_steer_the_terminal_do_not(shop):
    table = shell(shop, "SELECT char(27) || '[2J' || char(10) || 'b' AS a, x'00ff' AS b").stdout
    assert "\x1b" not in table and "\\x1b[2J\\nb" in table and "x'00ff'" in table
    assert rows(shop, "SELECT x'00ff' AS b") == [{"b": {"base64": "AP8="}}]
    assert shell(shop, "SELECT '\"q\", r' AS \"a,b\", '' AS c, NULL AS d", "--csv").stdout == (
        '"a,b",c,d\n"""q"", r","",\n')


def test_it_only_reads_unless_it_is_told(either):
    for sql in ("INSERT INTO goods VALUES (3, 'x', 1)", "UPDATE goods SET price = 0",
                "DELETE FROM goods", "DROP TABLE goods", "CREATE TABLE t (a INTEGER)",
                "BEGIN; DELETE FROM goods; COMMIT",
                "INSERT INTO goods WITH n AS (SELECT 3 AS id) SELECT id, 'x', 1 FROM n"):
        refused = shell(either, sql, check=False)
        assert refused.returncode == 3, (sql, refused.stderr)
        assert "error[sql_read_only]" in refused.stderr and "--write" in refused.stderr
    if either.engine == "postgresql":
        for sql in ("BEGIN READ WRITE; DELETE FROM goods", "SELECT nextval('s')",
                    "BEGIN; SET TRANSACTION READ WRITE; DELETE FROM goods",
                    "BEGIN; SELECT set_config('transaction_read_only', 'off', true); "
                    "DELETE FROM goods", "SAVEPOINT a; DELETE FROM goods",
                    "BEGIN; SET LOCAL transaction_read_only = off; DELETE FROM goods; COMMIT",
                    'BEGIN; SET LOCAL U&"transaction\\005fread_only" TO off; DELETE FROM goods; '
                    "COMMIT",
                    "BEGIN; DO $$ BEGIN SET LOCAL transaction_read_only = off; "
                    "DELETE FROM goods; END $$; COMMIT",
                    "BEGIN; COMMIT AND CHAIN; DELETE FROM goods; COMMIT"):
            assert shell(either, sql, check=False).returncode in (1, 3), sql
        for sql in ("SELECT lo_create(77)", "BEGIN; SELECT lo_create(77); COMMIT"):
            shell(either, sql, check=False)
            assert rows(either, "SELECT count(*) AS n FROM pg_largeobject_metadata") == [{"n": 0}]
    if either.engine == "mariadb":
        for sql in ("START TRANSACTION READ WRITE; DELETE FROM goods", "TRUNCATE goods",
                    "BEGIN; COMMIT; DELETE FROM goods", "SAVEPOINT a; DELETE FROM goods",
                    "SET TRANSACTION READ WRITE; DELETE FROM goods"):
            assert shell(either, sql, check=False).returncode in (1, 3), sql
        shell(either, "CREATE SEQUENCE s", "--write")
        for sql in ("SELECT nextval(s)", "SELECT setval(s, 1000)"):
            shell(either, sql, check=False)
        assert rows(either, "SELECT nextval(s) AS n", "--write") == [{"n": 1}]
    assert goods(either) == [{"id": 1}, {"id": 2}, {"id": 10}]
    # MariaDB takes what is only explained for a change.
    explained = "SELECT *" if either.engine == "mariadb" else "DELETE"
    shell(either, f"BEGIN; SELECT * FROM goods; EXPLAIN {explained} FROM goods; COMMIT")
    shell(either, "INSERT INTO goods VALUES (3, 'x', 1); DELETE FROM goods WHERE id = 10",
          "--write")
    assert goods(either) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert "'x'" in ask(either, APP, "sql('SELECT name FROM goods WHERE id = 3')")


def test_a_script_stops_at_its_first_error(either):
    script = "INSERT INTO goods VALUES (3, 'x', 1);\n\nSELECT nothing;\nDELETE FROM goods;\n"
    failed = shell(either, script, "--write", check=False)
    assert failed.returncode == 1 and "error[sql_error]" in failed.stderr
    assert "line 3" in failed.stderr
    assert len(goods(either)) == 4
    failed = shell(either, "SELECT nothing", "--json", check=False)
    assert json.loads(failed.stdout)["error"]["code"] == "sql_error"


def test_a_transaction_holds_and_is_rolled_back_when_it_is_left(either):
    shell(either, "BEGIN; INSERT INTO goods VALUES (3, 'x', 1); COMMIT;", "--write")
    left = shell(either, "BEGIN; DELETE FROM goods; SELECT count(*) AS n FROM goods", "--write",
                 "--json", check=False)
    lines = [json.loads(line) for line in left.stdout.splitlines()]
    assert left.returncode == 1 and lines[0] == {"n": 0}
    assert lines[1]["error"]["code"] == "transaction_open"
    assert len(goods(either)) == 4


def test_the_apps_refusals_and_quotas_hold(shop):
    for sql in ("ATTACH 'x' AS y", "VACUUM", "PRAGMA journal_mode = DELETE"):
        refused = shell(shop, sql, "--write", check=False)
        assert refused.returncode == 3 and "error[sql_refused]" in refused.stderr, refused.stderr
    shop.cli("quota", "set", APP, "query.statement=300ms", "query.result=1KiB")
    for sql, quota in ((ENDLESS, "query.statement"), ("SELECT zeroblob(5000)", "query.result")):
        refused = shell(shop, sql, check=False)
        assert refused.returncode == 3 and "error[quota_exceeded]" in refused.stderr
        assert quota in refused.stderr
    assert shell(shop, "SELECT '" + "x" * (1 << 20) + "'", check=False).returncode == 3


def test_large_statements_and_answers_come_whole(either):
    either.cli("quota", "set", APP, "query.result=64MiB")
    text = "é" * 200_000
    # MariaDB counts bytes.
    length = "char_length" if either.engine == "mariadb" else "length"
    assert rows(either, f"SELECT '{text}' AS a, {length}('{text}') AS n") == [
        {"a": text, "n": 200_000}]
    (row,) = rows(either, "SELECT hex(zeroblob(5000000)) AS a"
                  if either.engine == "sqlite" else "SELECT repeat('00', 5000000) AS a")
    assert row["a"] == "00" * 5_000_000


def test_what_a_script_is_made_of_is_understood(shop):
    script = """
-- a comment; with a semicolon
CREATE TABLE log (what TEXT); /* another; */ ;;
CREATE TRIGGER noted AFTER INSERT ON goods WHEN CASE new.id WHEN 5 THEN 1 END BEGIN
  INSERT INTO log VALUES ('it''s; ' || new.name);
  UPDATE log SET what = what || CASE WHEN 1 THEN ';' ELSE '' END;
END;
INSERT INTO goods VALUES (5, 'a;b', 1);
SELECT what AS "a;b" FROM log
"""
    assert rows(shop, script, "--write") == [{"a;b": "it's; a;b;"}]
    assert shell(shop, "-- nothing\n").stdout == ""


def test_a_shell_uses_the_database_of_its_app_only(shop, tmp_path):
    shop.deploy(apps.write_app(tmp_path / "other", SOURCE), OTHER)
    missing = shell(shop, "SELECT * FROM goods", app=OTHER, check=False)
    assert missing.returncode == 1 and "no such table" in missing.stderr
    nobody = shell(shop, "SELECT 1", app="demo/none", check=False)
    assert nobody.returncode == 1 and "error[app_not_found]" in nobody.stderr


def test_only_operators_open_one_and_the_log_says_who(shop):
    refused = subprocess.run(shop.cli_command("db", "shell", APP, "-c", "SELECT 1",
                                              user="stranger"), capture_output=True, text=True)
    assert refused.returncode == 3 and "not_operator" in refused.stderr
    shell(shop, "SELECT 1", "--write")
    wait_until(lambda: "opened a shell on the database, to write." in shop.cli("logs", APP).stdout,
               "the app's log says so")
    assert re.search(r"database_shell_opened.*by=.?uid \d+", shop.log()), shop.log()[-2000:]


# --- What may happen to one


@pytest.fixture
def open_by_hand(shop):
    """open_by_hand() opens a shell: its target, and the connection that holds it."""
    held = []

    def open_one():
        opened = shop.admin("POST", "/v1/tenants/demo/apps/shop/shells", {"write": True})
        assert opened.status == 201, opened.body
        target = "/v1/tenants/demo/apps/shop/shells/" + json.loads(opened.body)["id"]
        held.append(shop.connect_admin())
        held[-1].send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return target, held[-1]

    yield open_one
    for hold in held:
        hold.close()


def test_a_client_that_dies_leaves_nothing_open(shop, open_by_hand):
    target, hold = open_by_hand()
    assert shop.admin("POST", target, b"BEGIN").status == 200
    assert shop.admin("POST", target, b"DELETE FROM goods").status == 200
    hold.close()
    wait_until(lambda: shop.admin("POST", target, b"SELECT 1").status == 404, "it has ended")
    assert ask(shop, APP, "sql('INSERT INTO goods VALUES (4, NULL, 0)')") == "[]"
    assert len(goods(shop)) == 4


def test_a_client_that_goes_ends_its_statement(shop, open_by_hand):
    shop.cli("quota", "set", APP, "query.statement=60s")
    target, hold = open_by_hand()
    asker = shop.connect_admin()
    asker.send(f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(ENDLESS)}"
               f"\r\n\r\n{ENDLESS}".encode())
    wait_until(lambda: [p for p in shop.processes("query") if p.state() == "R"], "it runs")
    busy = shop.admin("POST", target, b"SELECT 1")
    assert busy.status == 409 and b"shell_busy" in busy.body
    asker.close()
    # One statement runs at a time: that of the app waits for this one's end.
    assert ask(shop, APP, "sql('SELECT 1')", timeout=20) == "[(1,)]"


def test_a_process_that_dies_is_said_and_the_shell_goes_on(shop, open_by_hand):
    target, hold = open_by_hand()
    assert shop.admin("POST", target, b"BEGIN").status == 200
    os.kill(shop.process("query").pid, signal.SIGKILL)
    # The death is known once the node has reaped it.
    wait_until(lambda: "query_ended" in shop.log(), "the node knows")
    lost = shop.admin("POST", target, b"DELETE FROM goods")
    assert lost.status == 409 and b"statement_lost" in lost.body
    assert shop.admin("POST", target, b"SELECT 1").status == 200
    assert len(goods(shop)) == 3


def test_what_is_no_statement_is_refused(shop, open_by_hand):
    target, hold = open_by_hand()
    for body, status in ((b"SELECT '\xff'", 422), (b"SELECT '\0'", 422), (b"", 200),
                         (b"x" * (1 << 21), 413)):
        assert shop.admin("POST", target, body).status == status, body[:20]
    for body in (b"", b"[]", b'{"write": 1}', b'{"rite": true}'):
        assert shop.admin("POST", "/v1/tenants/demo/apps/shop/shells", body).status >= 400
    assert shop.admin("DELETE", target).status == 204
    assert shop.admin("DELETE", target).status == 404
    assert hold.read_response().status == 200


def test_there_are_only_so_many(shop, open_by_hand):
    held = [open_by_hand() for _ in range(8)]
    more = shell(shop, "SELECT 1", check=False)
    assert more.returncode == 3 and "error[shells_full]" in more.stderr
    held[0][1].close()
    wait_until(lambda: shell(shop, "SELECT 1", check=False).returncode == 0, "there is room")


def test_deleting_the_app_ends_its_shells(shop, open_by_hand):
    target, hold = open_by_hand()
    assert shop.admin("POST", target, b"BEGIN").status == 200
    shop.cli("apps", "delete", APP, "--force")
    assert b"deleted" in hold.read_response().body
    assert shop.admin("POST", target, b"SELECT 1").status == 404
    wait_until(lambda: not shop.processes("query"), "its process has gone")


# --- On a terminal


class Terminal:
    """The shell's prompt."""

    def __init__(self, node, home, *arguments):
        self._ours, theirs = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen(
            node.cli_command("db", "shell", APP, *arguments),
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={"HOME": str(home), "TERM": "vt100", "NO_COLOR": "1", "PATH": os.environ["PATH"]},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

    def type(self, text):
        self.said = ""
        os.write(self._ours, text.encode())

    def wait_for(self, what):
        def has_come():
            while select.select([self._ours], [], [], 0)[0]:
                try:
                    self.said += os.read(self._ours, 65536).decode()
                except OSError:
                    break
            return re.search(what, self.said)

        wait_until(has_come, lambda: f"{what!r} in {self.said!r}")

    def run(self, text, then=r"\nshop-prompt"):
        self.type(text + "\n")
        self.wait_for(then.replace("shop-prompt", r"demo/shop\*?> $"))
        return self.said


@pytest.fixture
def home(shop):
    folder = shop.folder / "home"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def test_a_prompt_runs_statements(shop, home):
    with Terminal(shop, home, "--write") as terminal:
        terminal.wait_for(r"SQLite, to read and write.*\r\ndemo/shop> $")
        said = terminal.run("SELECT id, name FROM goods WHERE id < 3;")
        assert " 1  tea" in said or "id  name\r\n 1  tea\r\n 2  NULL" in said
        assert re.search(r"\(2 rows, \d+\.\d ms\)", said), said
        terminal.type("SELECT 'ä;'\n")
        terminal.wait_for(r"\.\.\.> $")
        assert "ä;" in terminal.run("AS x;").replace("SELECT", "")
        assert re.search(r"\(2 rows changed, ", terminal.run("DELETE FROM goods WHERE id < 3;"))
        assert "error[sql_error]" in terminal.run("SELECT nothing;")
        assert "goods  table" in terminal.run(".tables")
        assert "CREATE TABLE goods (id INTEGER PRIMARY KEY" in terminal.run(".schema goods")
        assert ".tables" in terminal.run(".help") and ".help lists" in terminal.run(".nothing")
        terminal.type(".quit\n")
        assert terminal.process.wait(20) == 0
    assert len(goods(shop)) == 1


def test_a_prompt_ends_with_its_app(shop, home):
    with Terminal(shop, home) as terminal:
        terminal.wait_for("demo/shop> $")
        terminal.run("SELECT 1;")
        shop.cli("apps", "delete", APP, "--force")
        terminal.type("SELECT 2;\n")
        assert terminal.process.wait(20) == 1
        terminal.wait_for(r"error\[app_not_found\]")


def test_a_prompt_shows_its_transaction_and_rolls_it_back(shop, home):
    with Terminal(shop, home, "--write") as terminal:
        terminal.wait_for("demo/shop> $")
        terminal.run("BEGIN;", r"\ndemo/shop\*> $")
        terminal.run("DELETE FROM goods;", r"\ndemo/shop\*> $")
        terminal.type("\x04")
        terminal.wait_for("The transaction is rolled back")
        assert terminal.process.wait(20) == 0
    assert len(goods(shop)) == 3


def test_ctrl_c_gives_up_the_line_or_the_statement(shop, home):
    shop.cli("quota", "set", APP, "query.statement=60s")
    with Terminal(shop, home, "--write") as terminal:
        terminal.wait_for("demo/shop> $")
        terminal.type("SELECT 'half")
        terminal.wait_for("half")
        terminal.type("\x03")
        terminal.wait_for(r"\^C\r\ndemo/shop> $")
        terminal.type(ENDLESS + ";\n")
        wait_until(lambda: [p for p in shop.processes("query") if p.state() == "R"], "it runs")
        terminal.type("\x03")
        terminal.wait_for(r"error\[interrupted\][^>]*demo/shop> $")
        assert "(1 row" in terminal.run("SELECT 1;")
        terminal.run("BEGIN;", r"\ndemo/shop\*> $")
        terminal.type(ENDLESS + ";\n")
        wait_until(lambda: [p for p in shop.processes("query") if p.state() == "R"], "it runs")
        terminal.type("\x03")
        terminal.wait_for(r"the transaction was rolled back[^>]*demo/shop> $")
        assert terminal.process.poll() is None


def test_the_history_is_there_again_and_its_owners_only(shop, home):
    with Terminal(shop, home) as terminal:
        terminal.wait_for("demo/shop> $")
        terminal.run("SELECT 12345;")
        terminal.type("\x04")
        assert terminal.process.wait(20) == 0
    assert (home / ".cloister_sql_history").stat().st_mode & 0o777 == 0o600
    with Terminal(shop, home) as terminal:
        terminal.wait_for("demo/shop> $")
        terminal.type("\x10")  # Ctrl-P: the line before
        terminal.wait_for("SELECT 12345;")
        terminal.type("\n")
        terminal.wait_for(r"1 row[^>]*demo/shop> $")


def test_a_prompt_outlives_the_node_it_began_on(shop, home):
    with Terminal(shop, home, "--write") as terminal:
        terminal.wait_for("demo/shop> $")
        terminal.run("SELECT 1;")
        first = shop.process("node").pid
        os.kill(shop.keeper.pid, signal.SIGHUP)
        wait_until(lambda: [p.pid for p in shop.processes("node") if p.pid != first]
                   and len(shop.processes("node")) == 1, "the next node is alone")
        assert "(1 row" in terminal.run("SELECT 1;")
        terminal.run("BEGIN;", r"\ndemo/shop\*> $")
        os.kill(shop.process("node").pid, signal.SIGKILL)
        shop.wait_ready()
        assert "the shell's transaction was rolled back" in terminal.run("DELETE FROM goods;")
        assert "(1 row" in terminal.run("SELECT 1;")
    assert len(goods(shop)) == 3


def test_a_prompt_on_mariadb(make_node, tmp_path, mariadb):
    shop = with_goods(make_node({"query": mariadb.settings}).start(), tmp_path)
    home = shop.folder / "home"
    home.mkdir()
    home.chmod(0o777)
    with Terminal(shop, home, "--write") as terminal:
        terminal.wait_for(r"MariaDB, to read and write.*\r\ndemo/shop> $")
        terminal.type("CREATE TRIGGER t BEFORE INSERT ON goods FOR EACH ROW BEGIN "
                      "SET NEW.price = 1;\n")
        terminal.wait_for(r"\.\.\.> $")
        terminal.run("END;")
        assert "goods  table" in terminal.run(".tables")
        said = terminal.run(".schema goods")
        assert "int(11) NOT NULL" in said and "primary key" in said, said
        terminal.run("BEGIN;", r"\ndemo/shop\*> $")


def test_a_prompt_on_postgresql(make_node, tmp_path, postgresql):
    shop = with_goods(make_node({"query": postgresql.settings}).start(), tmp_path)
    home = shop.folder / "home"
    home.mkdir()
    home.chmod(0o777)
    with Terminal(shop, home, "--write") as terminal:
        terminal.wait_for(r"PostgreSQL, to read and write.*\r\ndemo/shop> $")
        terminal.type("CREATE FUNCTION f() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1;\n")
        terminal.wait_for(r"\.\.\.> $")
        assert "(done" in terminal.run("END;")
        assert "(1 row" in terminal.run("SELECT f(), $$a;b$$ AS x;")
        assert "goods  table" in terminal.run(".tables")
        said = terminal.run(".schema goods")
        assert "id" in said and "integer NOT NULL" in said and "PRIMARY KEY (id)" in said, said
        terminal.run("BEGIN;", r"\ndemo/shop\*> $")
        terminal.run("SELECT pg_sleep(0);", r"\ndemo/shop\*> $")
        terminal.type("SELECT pg_sleep(30);\n")
        wait_until(lambda: postgresql.psql(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' "
            "AND state = 'active' AND pid <> pg_backend_pid()", "postgres"), "it runs")
        terminal.type("\x03")
        terminal.wait_for(r"the transaction was rolled back[^>]*demo/shop> $")
