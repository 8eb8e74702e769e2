"""The servers that a bench compares: each in a cgroup of its own, on a port of its own.

Every side serves the same WSGI function from the same number of Python processes, through one
front-end process where it has one. The limit serves the same bytes without Python.
"""

import pathlib
import signal
import subprocess
import time

import apps
from cpu_group import CpuGroup
from node import Node, free_port, host_of
from raw_http import ConnectionEnded, request

ANSWER = b"Hello, world"


class Side:
    """One server. Subclasses say what to start in commands()."""

    name = ""
    host = "hello.bench.localhost"
    stop_signal = signal.SIGTERM

    def __init__(self, folder, processes=1):
        self.processes = processes
        slug = f"{self.name.replace(' ', '').replace('+', '-')}-{processes}"
        self.folder = apps.write_app(pathlib.Path(folder) / slug)
        self.port = free_port()
        self.group = CpuGroup(slug)
        self._started = []

    def commands(self):
        raise NotImplementedError

    def start(self):
        for command in self.commands():
            with open(self.folder / "log", "ab") as log:
                self._started.append(
                    subprocess.Popen(
                        [*self.group.launcher(), *map(str, command)],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd=self.folder,
                        start_new_session=True,
                    )
                )
        self.wait_up()

    def wait_up(self, seconds=15.0):
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = request(("127.0.0.1", self.port), host=self.host, timeout=5.0)
                if answer.status == 200 and answer.body == ANSWER:
                    return
            except (OSError, ConnectionEnded):
                answer = None
            if time.monotonic() > deadline:
                log = (self.folder / "log").read_text(errors="replace")[-1500:]
                raise RuntimeError(f"{self.name} does not answer: {answer}\n{log}")
            time.sleep(0.02)

    def warm_up(self, requests=300):
        for _ in range(requests):
            request(("127.0.0.1", self.port), host=self.host)

    def cpu_us(self):
        return self.group.cpu_us()

    def stop(self):
        for process in self._started:
            if process.poll() is None:
                process.send_signal(self.stop_signal)
        for process in self._started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.group.remove()

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


class Limit(Side):
    """libuv and llhttp with a fixed answer: what no server built on them can be faster than."""

    name = "limit"

    def __init__(self, folder, program):
        self.program = program
        super().__init__(folder)

    def commands(self):
        return [[self.program, self.port]]


class UwsgiHttp(Side):
    """uWSGI alone; its http-socket closes each connection after one request."""

    name = "uWSGI http-socket"
    stop_signal = signal.SIGINT

    def listens(self):
        return f"http-socket = 127.0.0.1:{self.port}\nadd-header = Connection: close"

    def commands(self):
        settings = self.write(
            "uwsgi.ini",
            f"""[uwsgi]
plugins = python3
{self.listens()}
master = true
processes = {self.processes}
wsgi-file = {self.folder}/main.py
disable-logging = true
die-on-term = true
listen = 1024
""",
        )
        return [["/usr/bin/uwsgi", "--ini", settings]]


class NginxUwsgi(UwsgiHttp):
    name = "nginx + uWSGI"

    def listens(self):
        return f"socket = {self.folder}/socket\nchmod-socket = 666"

    def commands(self):
        location = f"include /etc/nginx/uwsgi_params; uwsgi_pass unix:{self.folder}/socket;"
        return [*super().commands(), nginx(self, location)]


class NginxGunicorn(Side):
    name = "nginx + gunicorn"

    def commands(self):
        gunicorn = ["/usr/bin/gunicorn", "-k", "sync", "-w", self.processes, "--backlog", "1024"]
        gunicorn += ["--log-level", "error", "-b", f"unix:{self.folder}/socket", "main:application"]
        location = f"proxy_pass http://unix:{self.folder}/socket:; proxy_set_header Host $host;"
        return [gunicorn, nginx(self, location)]


def nginx(side, location):
    """The command of an nginx with one worker process in front of a side."""
    folder = side.folder
    paths = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "uwsgi", "fastcgi", "scgi")
    )
    settings = side.write(
        "nginx.conf",
        f"""daemon off;
worker_processes 1;
user root;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000;
{paths}  server {{
    listen 127.0.0.1:{side.port} backlog=1024;
    location / {{ {location} }}
  }}
}}
""",
    )
    return ["/usr/sbin/nginx", "-c", settings]


class BenchNode:
    """One node with an app for each number of processes; all its processes in one group."""

    def __init__(self, folder, installation, user, settings=None):
        self.folder = pathlib.Path(folder)
        self.group = CpuGroup("cloister")
        self.node = Node(
            installation,
            user,
            {
                "limits": {"workers": 64, "requests": 1000000},
                "http": {"connections_per_address_max": 4096},
                **(settings or {}),
            },
            launcher=self.group.launcher(),
        )

    def start(self):
        self.node.start()

    def deploy(self, app, workers, source=apps.HELLO, packages=(), version="1.0.0"):
        extra = f"\n[workers]\nmin = {workers}\nmax = {workers}\n"
        if packages:
            extra += f"\n[bundle]\npackages = {list(packages)}\n".replace("'", '"')
        folder = apps.write_app(self.folder / app, source, version, name=app, extra=extra)
        self.node.deploy(folder, f"bench/{app}")

    def stop(self):
        try:
            self.node.remove()
        finally:
            self.group.remove()


class Cloister(Side):
    """An app of a BenchNode as a side."""

    name = "Cloister"

    def __init__(self, bench_node, processes):  # pylint: disable=super-init-not-called
        self.processes = processes
        self.bench_node = bench_node
        self.app = f"hello{processes}"
        self.port = bench_node.node.port
        self.host = host_of(f"bench/{self.app}")
        self.folder = bench_node.folder

    def start(self):
        self.bench_node.deploy(self.app, self.processes)
        self.wait_up()

    def cpu_us(self):
        return self.bench_node.group.cpu_us()

    def stop(self):
        pass


SERVERS = [NginxUwsgi, UwsgiHttp, NginxGunicorn]
