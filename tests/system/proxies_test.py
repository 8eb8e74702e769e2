"""Behind a proxy: whose word on a client's address and scheme counts, and whose does not."""

import json

import apps
import pytest
from node import host_of
from waiting import wait_until

APP = "demo/proxied"
HOST = host_of(APP)
SOURCE = """
import json
from wsgiref.util import request_uri

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    seen["request_uri"] = request_uri(environ, include_query=False)
    return [json.dumps(seen).encode()]
"""
FORWARDING = [
    ("X-Forwarded-For", "6.6.6.6, 203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Real-IP", "6.6.6.6"),
    ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
]


def ask(node, headers):
    return json.loads(node.http(APP, "/path", headers=headers).body)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return apps.write_app(tmp_path_factory.mktemp("proxied"), SOURCE)


def test_nobody_is_believed_unless_the_operator_says_so(node, folder):
    node.deploy(folder, APP)
    seen = ask(node, FORWARDING)
    assert seen["REMOTE_ADDR"] == "127.0.0.1" and seen["REMOTE_PORT"] != "0"
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["request_uri"].startswith(f"http://{HOST}/path")
    # The app cannot be fooled even where it would look itself.
    assert not [key for key in seen if "FORWARDED" in key or "REAL_IP" in key]
    seen = ask(node, [("True-Client-IP", "6.6.6.6"), ("Proxy", "http://6.6.6.6")])
    assert not [key for key in seen if "CLIENT_IP" in key or "PROXY" in key]


def test_a_trusted_proxy_is_believed(make_node, folder):
    node = make_node({"http": {"trusted_proxies": ["10.0.0.0/8", "127.0.0.1", "::1"]}}).start()
    node.deploy(folder, APP)
    seen = ask(node, FORWARDING)
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("203.0.113.9", "0")
    assert seen["wsgi.url_scheme"] == "https" and seen["SERVER_PORT"] == "443"
    assert seen["request_uri"] == f"https://{HOST}/path"
    assert seen["HTTP_HOST"] == HOST, "the host is that of Host, whoever asks"
    assert seen["HTTP_X_FORWARDED_FOR"] == "6.6.6.6, 203.0.113.9"
    seen = ask(node, [("Forwarded", 'for="[2001:db8::1]:4711";proto=https, for=10.1.2.3')])
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("2001:db8::1", "4711")
    seen = ask(node, [("True-Client-IP", "6.6.6.6"), ("Proxy", "http://6.6.6.6")])
    assert seen["HTTP_TRUE_CLIENT_IP"] == "6.6.6.6"
    assert "HTTP_PROXY" not in seen, "libraries would ask by it"
    seen = ask(node, [("X-Forwarded-For", "<script>"), ("X-Forwarded-Proto", "gopher")])
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    seen = ask(node, [])
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    own = node.http(APP, headers=FORWARDING).header("X-Request-Id")
    (line,) = wait_until(
        lambda: [line for line in node.log().splitlines() if own in line], "the access log"
    )
    assert "remote=203.0.113.9" in line


def test_another_network_than_the_peers_is_not_believed(make_node, folder):
    node = make_node({"http": {"trusted_proxies": ["10.0.0.0/8"]}}).start()
    node.deploy(folder, APP)
    assert ask(node, FORWARDING)["REMOTE_ADDR"] == "127.0.0.1"


def test_what_is_no_address_is_refused_with_its_line(make_node):
    node = make_node({"http": {"trusted_proxies": ["10.0.0.1/8"]}})
    node.write_settings()
    done = node.run_daemon("--config", node.folder / "cloisterd.toml")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "cloisterd.toml:2: trusted_proxies is wrong: '10.0.0.1/8' has bits set" in said
