"""A server that speaks S3 for tests: OpenStack Swift, the real programs, on loopback."""

import contextlib
import hashlib
import hmac
import http.client
import http.server
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree

from waiting import wait_until

PROGRAM = pathlib.Path(__file__).parent / "swift_program.py"
ACCESS_KEY = "test:tester"
SECRET_KEY = "testing"
REGION = "us-east-1"


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def free_ports(count):
    """The first of so many in a row, of those that the kernel gives to nobody by itself."""
    while True:
        first = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


class Front:
    """Listens on a port of its own, and does `serve(connection)` for each, on a thread."""

    def __init__(self, serve):
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with contextlib.suppress(OSError), connection:
            self._serve(connection)

    def close(self):
        # Wakes the one that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class TlsFront(Front):
    """Takes TLS, with a certificate of its own authority, and passes on what comes."""

    def __init__(self, folder, port):
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
             "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._port = port
        super().__init__(self._pass)

    def _pass(self, connection):
        with self._context.wrap_socket(connection, server_side=True) as inside:
            with socket.create_connection(("127.0.0.1", self._port)) as outside:
                back = threading.Thread(target=_copy, args=(outside, inside), daemon=True)
                back.start()
                _copy(inside, outside)
                back.join()


def _copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class Plain:
    """Keeps objects in memory, whoever asks. Lists no uploads, and joins parts slowly."""

    def __init__(self):
        self.objects = {}
        self.refuses = False  # keeps what is put, and says that it does not
        self.joins_seconds = 0
        plain = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                if "uploads=" in self.path:
                    return self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
                return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

            def do_HEAD(self):
                found = plain.objects.get(self.path)
                self.answer(404 if found is None else 200, found or b"")

            def do_PUT(self):
                plain.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(403 if plain.refuses else 200)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                key, _, query = self.path.partition("?")
                if query == "uploads=":
                    return self.answer(200, b"<R><UploadId>one</UploadId></R>")
                return self.join(key)

            def do_DELETE(self):
                plain.objects.pop(self.path, None)
                self.answer(204)

            def join(self, key):
                """As S3 does: a status, then a blank now and then until it is done."""
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                end = time.monotonic() + plain.joins_seconds
                while time.monotonic() < end:
                    self.wfile.write(b"1\r\n \r\n")
                    time.sleep(0.2)
                parts = [path for path in plain.objects if path.startswith(key + "?")]
                parts.sort(key=lambda path: int(path.partition("partNumber=")[2].split("&")[0]))
                plain.objects[key] = b"".join(plain.objects.pop(path) for path in parts)
                self.wfile.write(b"4\r\n<R/>\r\n0\r\n\r\n")

            def answer(self, status, body=b""):
                self.send_response(status)
                self.send_header("ETag", '"an etag"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def settings(self, secret_file):
        """Of the section [persistence] of a node."""
        port = self._server.server_address[1]
        return {"server": f"s3://objects/plain?endpoint=http://127.0.0.1:{port}",
                "access_key": ACCESS_KEY, "secret_key_file": str(secret_file), "timeout": "2s"}

    def remove(self):
        self._server.shutdown()
        self._server.server_close()


class Reply:
    """What the server answered."""

    def __init__(self, answer):
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()


class Swift:
    """Keeps what it has over stop() and start()."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloister-s3-"))
        self.folder.chmod(0o755)
        self.secret_file = self.folder / "secret"
        self.secret_file.write_text(SECRET_KEY + "\n")
        self.log_file = self.folder / "log"
        # The three behind it have the ports that follow.
        self.port = free_ports(4)
        self.backend = self.port + 1
        self._popen = None

    def settings(self, bucket="objects", prefix="node"):
        """Of the section [persistence] of a node."""
        return {"server": f"s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{self.port}",
                "access_key": ACCESS_KEY, "secret_key_file": str(self.secret_file),
                "timeout": "2s"}

    def start(self):
        with open(self.log_file, "ab") as log:
            self._popen = subprocess.Popen(
                ["/usr/bin/python3.11", PROGRAM, self.folder / "data", str(self.port),
                 str(self.backend)],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.is_ready, lambda: f"Swift is ready\n{self.log_file.read_text()}")
        return self

    def is_ready(self):
        assert self._popen.poll() is None, self.log_file.read_text()
        try:
            return self.ask("GET", "").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def hang(self):
        """It answers no more, and its connections stay."""
        self._popen.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._popen.send_signal(signal.SIGCONT)

    def stop(self):
        """As after a crash."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(60)
            self._popen = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- as its client ---

    def ask(self, method, path, query="", body=b"", secret=SECRET_KEY):
        """`path`: BUCKET/KEY; `query`: in order, encoded."""
        path = "/" + urllib.parse.quote(path)
        host = f"127.0.0.1:{self.port}"
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = ("AWS4" + secret).encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, "
            f"Signature={_hmac(key, text).hex()}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path + ("?" + query if query else ""), body, headers)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def make_bucket(self, bucket="objects"):
        # Its parts come up one after the other.
        wait_until(lambda: self.ask("PUT", bucket).status in (200, 409), self.log_file.read_text)
        return self

    def keys(self, bucket="objects"):
        return self._listed(bucket, "", "Contents")

    def uploads(self, bucket="objects"):
        """Keys of what is being sent in parts."""
        return self._listed(bucket, "uploads=", "Upload")

    def _listed(self, bucket, query, what):
        answer = self.ask("GET", bucket, query)
        assert answer.status == 200, answer.body
        root = xml.etree.ElementTree.fromstring(answer.body)
        return sorted(each.findtext("{*}Key") for each in root.iter() if each.tag.endswith(what))

    def get(self, key, bucket="objects"):
        answer = self.ask("GET", f"{bucket}/{key}")
        assert answer.status == 200, answer.body
        return answer.body

    def put(self, key, body, bucket="objects"):
        assert self.ask("PUT", f"{bucket}/{key}", body=body).status == 200

    def delete(self, key, bucket="objects"):
        assert self.ask("DELETE", f"{bucket}/{key}").status == 204
