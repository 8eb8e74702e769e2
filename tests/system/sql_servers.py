"""PostgreSQL and MariaDB for tests: servers of the real programs on unix sockets of their own."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from waiting import wait_until

PROGRAMS = pathlib.Path("/usr/lib/postgresql/15/bin")
PASSWORD = "the operator's own"


class Postgresql:
    """Listens on no network. Runs as the user postgres when the tests are root's."""

    def __init__(self, connections=300):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-pg-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.log_file = self.folder / "log"
        self._popen = None
        self._as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                             "--clear-groups"]
        self._run("initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                  "-A", "scram-sha-256", f"--pwfile={self.password_file}", "--no-sync")
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\n"
                       f"max_connections = {connections}\nfsync = off\n")

    def _run(self, program, *arguments):
        done = subprocess.run([*self._as_user, PROGRAMS / program, *arguments], cwd="/",
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def settings(self):
        """Of the section [query] of a node."""
        return {"server": f"postgresql://postgres@/postgres?host={self.folder}",
                "password_file": str(self.password_file)}

    def start(self):
        with open(self.log_file, "ab") as log:
            self._popen = subprocess.Popen(
                [*self._as_user, PROGRAMS / "postgres", "-D", self.data],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.is_ready, lambda: f"PostgreSQL is ready\n{self.log()}")
        return self

    def is_ready(self):
        assert self._popen.poll() is None, self.log()
        done = subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", self.folder], cwd="/")
        return done.returncode == 0

    def stop(self, how=signal.SIGINT):
        """SIGINT: at once, in order. SIGQUIT: as after a crash."""
        if self._popen is not None:
            self._popen.send_signal(how)
            self._popen.wait(60)
            self._popen = None

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def psql(self, sql, database="postgres"):
        """What the superuser gets, a line for each row."""
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres",
             "-d", database, "-c", sql],
            env={**os.environ, "PGPASSWORD": PASSWORD}, cwd="/", capture_output=True, text=True,
            timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def databases(self):
        """Those that nodes have made."""
        return self.psql("SELECT datname FROM pg_database WHERE datname LIKE 'cloister%'")

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")


class Mariadb:
    """Listens on no network. Runs as the user mysql when the tests are root's."""

    # What docs/operating/databases.md tells an operator to give the node.
    RIGHTS = (
        f"CREATE USER cloister@localhost IDENTIFIED BY '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
        "GRANT CREATE USER ON *.* TO cloister@localhost",
        "GRANT ALL PRIVILEGES ON `cloister\\_%`.* TO cloister@localhost WITH GRANT OPTION",
        "GRANT SELECT ON mysql.db TO cloister@localhost",
    )

    def __init__(self, connections=200):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-my-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.socket = self.folder / "socket"
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.log_file = self.folder / "log"
        self._popen = None
        self._as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("mysql")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                             "--clear-groups"]
        self._options = ["--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                         "--skip-networking", f"--max-connections={connections}",
                         f"--pid-file={self.folder / 'pid'}", "--innodb-buffer-pool-size=64M",
                         "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0"]
        done = subprocess.run(
            [*self._as_user, "mariadb-install-db", "--no-defaults", f"--datadir={self.data}",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
            cwd="/", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        self._is_new = True

    @property
    def settings(self):
        """Of the section [query] of a node."""
        return {"server": f"mariadb://cloister@/?socket={self.socket}",
                "password_file": str(self.password_file)}

    def start(self):
        with open(self.log_file, "ab") as log:
            self._popen = subprocess.Popen([*self._as_user, "mariadbd", *self._options], cwd="/",
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.is_ready, lambda: f"MariaDB is ready\n{self.log()}")
        if self._is_new:
            for statement in self.RIGHTS:
                self.sql(statement)
        self._is_new = False
        return self

    def is_ready(self):
        assert self._popen.poll() is None, self.log()
        return self._client("SELECT 1").returncode == 0

    def stop(self, how=signal.SIGTERM):
        """SIGTERM: in order. SIGKILL: as after a crash."""
        if self._popen is not None:
            self._popen.send_signal(how)
            self._popen.wait(60)
            self._popen = None

    def remove(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _client(self, sql, database=""):
        return subprocess.run(
            ["mariadb", "--no-defaults", "-S", self.socket, "-u", "root", "-N", "-B", "-r", "-e",
             sql, database], cwd="/", capture_output=True, text=True, timeout=60)

    def sql(self, sql, database=""):
        """What the superuser gets, a line for each row, with tabs between values."""
        done = self._client(sql, database)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def databases(self):
        """Those that nodes have made, copies among them."""
        return self.sql("SELECT schema_name FROM information_schema.schemata "
                        "WHERE schema_name LIKE 'cloister%'")

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")
