"""Swift with its S3 API as one process, for s3_servers.py: FOLDER PORT FIRST_BACKEND_PORT.

It keeps what it is given below FOLDER, and logs nothing. Listens on loopback only.
"""

import logging
import pathlib
import sys

import eventlet

eventlet.monkey_patch()

# After that, as Swift's own servers do.
from eventlet import wsgi  # noqa: E402
from swift.account.server import AccountController  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402
from swift.container.server import ContainerController  # noqa: E402
from swift.obj.server import ObjectController  # noqa: E402

HOST = "127.0.0.1"
PROXY = """
[DEFAULT]
swift_dir = {folder}
log_level = CRITICAL

[pipeline:main]
pipeline = catch_errors s3api tempauth slo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
object_post_as_copy = false
node_timeout = 20

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
auth_pipeline_check = false

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

[filter:slo]
use = egg:swift#slo
rate_limit_after_segment = 1000
"""


class Memory:
    """What Swift keeps in memcached, in this process."""

    def __init__(self, app):
        self.app = app
        self.values = {}

    def __call__(self, environ, start_response):
        environ["swift.cache"] = self
        return self.app(environ, start_response)

    def get(self, key, raise_on_error=False):
        return self.values.get(key)

    def set(self, key, value, serialize=True, time=0, min_compress_len=0, raise_on_error=False):
        self.values[key] = value

    def incr(self, key, delta=1, time=0):
        self.values[key] = int(self.values.get(key, 0)) + delta
        return self.values[key]

    def delete(self, key, server_key=None):
        self.values.pop(key, None)


def write_ring(folder, name, port):
    builder = RingBuilder(1, 1, 0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "ip": HOST, "port": port,
                     "device": "d1", "weight": 1.0, "replication_ip": HOST,
                     "replication_port": port})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{name}.ring.gz"))


def main():
    folder = pathlib.Path(sys.argv[1])
    port, backend = int(sys.argv[2]), int(sys.argv[3])
    (folder / "devices" / "d1").mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = test\n"
                                       "[storage-policy:0]\nname = one\ndefault = yes\n")
    (folder / "proxy.conf").write_text(PROXY.format(folder=folder))
    parts = {"account": AccountController, "container": ContainerController,
             "object": ObjectController}
    for number, name in enumerate(parts):
        write_ring(folder, name, backend + number)
    utils.set_swift_dir(str(folder))
    storage_policy.reload_storage_policies()
    conf = {"swift_dir": str(folder), "devices": str(folder / "devices"), "mount_check": "false",
            "log_level": "CRITICAL", "auto_create_account_prefix": "."}
    quiet = logging.getLogger("nothing")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    front = eventlet.listen((HOST, port))
    for number, controller in enumerate(parts.values()):
        socket = eventlet.listen((HOST, backend + number))
        eventlet.spawn(wsgi.server, socket, controller(conf), log=quiet, log_output=False,
                       socket_timeout=60)
    wsgi.server(front, Memory(loadapp(str(folder / "proxy.conf"))), log=quiet, log_output=False,
                socket_timeout=60)


main()
