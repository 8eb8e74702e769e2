"""`cloister objects` and `cloister verify`: what operators do with an app's objects."""

import hashlib
import os

import apps
import pytest
from persistence_test import APP, SOURCE, ask, id_of, object_files

LARGE = 5_000_000


@pytest.fixture
def shop(make_node, tmp_path):
    node = make_node().start()
    node.deploy(apps.write_app(tmp_path / "app", SOURCE), APP)
    return node


@pytest.fixture
def files(shop):
    """A folder that whoever runs the command may write to."""
    folder = shop.folder / "files"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def put(node, files, data, *arguments, check=True):
    path = files / hashlib.sha256(data).hexdigest()[:8]
    path.write_bytes(data)
    path.chmod(0o644)
    return node.cli("objects", "put", APP, path, *arguments, check=check)


def test_what_is_put_comes_back_and_is_the_apps(shop, files):
    for size in (0, 10, LARGE):
        data = os.urandom(size)
        name = f"files/{size}"
        assert put(shop, files, data, "--name", name).stdout.strip() == id_of(data)
        assert ask(shop, f"persistence.get('{name}')") == repr(id_of(data))
        assert ask(shop, f"persistence.stat(persistence.get('{name}')).size") == str(size)
        for reference in (name, id_of(data)):
            got = shop.cli("objects", "get", APP, reference, "-o", files / "got")
            assert (files / "got").read_bytes() == data, got.stderr
            (files / "got").unlink()
    assert not list(files.glob("*.part"))


def test_what_the_app_keeps_is_listed(shop):
    ask(shop, "[persistence.put(n, persistence.write(n.encode())) for n in ('a/1', 'a/2', 'ü')]")
    ask(shop, "persistence.write(b'nameless')")
    listed = shop.json("objects", "ls", APP)
    assert [row["name"] for row in listed["objects"]] == ["a/1", "a/2", "ü"]
    assert listed["objects"][0]["id"] == id_of(b"a/1") and listed["objects"][0]["size"] == 3
    assert [row["name"] for row in shop.json("objects", "ls", APP, "a/")["objects"]] == [
        "a/1",
        "a/2",
    ]
    ids = [row["id"] for row in shop.json("objects", "ls", APP, "--ids")["objects"]]
    assert ids == sorted(map(id_of, (b"a/1", b"a/2", "ü".encode(), b"nameless")))
    text = shop.cli("objects", "ls", APP).stdout
    assert "a/1" in text and "ü" in text and id_of(b"a/2") in text


def test_a_name_is_one_line_of_the_list(shop, files):
    put(shop, files, b"x", "--name", "a\nFORGED\t\x1b[2J")
    listed = shop.cli("objects", "ls", APP).stdout.splitlines()
    assert len(listed) == 2 and listed[1].endswith(r"a\nFORGED\t\x1b[2J"), listed
    refused = shop.cli("objects", "ls", APP, "a", "--ids", check=False)
    assert refused.returncode == 2 and "--ids" in refused.stderr, refused


def test_pages_are_put_together(shop):
    shop.cli("quota", "set", APP, "persistence.writes=100000")
    ask(shop, "[persistence.put('%05d' % n, persistence.write(b'')) for n in range(2500)]")
    names = [row["name"] for row in shop.json("objects", "ls", APP)["objects"]]
    assert names == [f"{number:05}" for number in range(2500)]


def test_what_is_removed_is_gone(shop, files):
    put(shop, files, b"kept", "--name", "one")
    put(shop, files, b"kept", "--name", "two")
    refused = shop.cli("objects", "rm", APP, id_of(b"kept"), check=False)
    assert refused.returncode == 3 and "object_in_use" in refused.stderr
    shop.cli("objects", "rm", APP, "one")
    assert ask(shop, "persistence.read(persistence.get('two'))") == "b'kept'"
    shop.cli("objects", "rm", APP, "two")
    assert ask(shop, "persistence.usage()") == "Usage(bytes=0, objects=0, names=0)"
    for verb in ("rm", "get"):
        for reference in ("two", id_of(b"kept")):
            missing = shop.cli("objects", verb, APP, reference, check=False)
            assert missing.returncode == 1 and "object_not_found" in missing.stderr


def test_a_name_is_not_empty(shop, files):
    refused = put(shop, files, b"kept", "--name", "", check=False)
    assert refused.returncode == 2 and "a name is not empty" in refused.stderr
    tenant, app = APP.split("/")
    answer = shop.admin("POST", f"/v1/tenants/{tenant}/apps/{app}/objects?name=", b"kept")
    assert answer.status == 400 and b"query_invalid" in answer.body
    assert shop.json("objects", "ls", APP, "--ids")["objects"] == []


def test_an_object_with_two_names_is_counted_once(shop, files):
    put(shop, files, b"0123456789", "--name", "one")
    put(shop, files, b"0123456789", "--name", "two")
    listed = shop.cli("objects", "ls", APP)
    assert "2 names, 10 B" in listed.stdout + listed.stderr
    removed = shop.json("objects", "rm", APP, "two")
    assert removed == {"app": APP, "removed": "two"}


def test_a_local_file_is_replaced_only_when_it_was_named(shop, files):
    put(shop, files, b"new", "--name", "a/one")
    (files / "one").write_bytes(b"old")
    (files / "one").chmod(0o666)
    refused = shop.cli("objects", "get", APP, "a/one", check=False, cwd=files)
    assert refused.returncode == 3 and "error[file_exists]" in refused.stderr
    assert (files / "one").read_bytes() == b"old"
    shop.cli("objects", "get", APP, "a/one", "-o", files / "one")
    assert (files / "one").read_bytes() == b"new"
    missing = shop.cli("objects", "get", APP, id_of(b"none"), check=False)
    assert "--ids" in missing.stderr


def test_the_apps_quotas_hold(shop, files):
    shop.cli("quota", "set", APP, "persistence.bytes=1MiB", "persistence.objects=2")
    refused = put(shop, files, os.urandom(LARGE), check=False)
    assert refused.returncode == 3 and "objects_full" in refused.stderr
    assert "persistence.bytes allows 1048576" in refused.stderr
    put(shop, files, b"1", "--name", "1")
    put(shop, files, b"1", "--name", "2")
    refused = put(shop, files, b"2", "--name", "3", check=False)
    assert refused.returncode == 3 and "persistence.objects allows 2" in refused.stderr
    assert ask(shop, "persistence.usage()") == "Usage(bytes=1, objects=1, names=2)"


def test_what_is_wrong_is_said(shop):
    for target, status in (
        ("/objects/stat", 400),
        ("/objects/stat?id=xyz", 400),
        ("/objects/stat?id=" + "0" * 64, 404),
        ("/objects/stat?name=" + "n" * 1025, 400),
        ("/objects/stat?name=%ff", 400),
        ("/objects/bytes?id=" + "0" * 64 + "&count=1048577", 400),
        ("/objects/bytes?id=" + "0" * 64 + "&offset=x", 400),
        ("/objects?limit=0", 400),
        ("/objects?ids=1&after=x", 400),
    ):
        app = APP.split("/")
        answer = shop.admin("GET", f"/v1/tenants/{app[0]}/apps/{app[1]}{target}")
        assert answer.status == status, (target, answer.body)
    assert shop.cli("objects", "ls", "demo/nobody", check=False).returncode == 1


def test_verify_finds_what_the_disk_has_damaged(shop):
    ask(shop, f"persistence.write(bytes({LARGE}))")
    ask(shop, "persistence.write(b'small')")
    assert "2 objects: all as they were received" in shop.cli("verify").stdout
    (path,) = object_files(shop)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    found = shop.cli("verify", APP, check=False)
    assert found.returncode == 1 and "integrity_error" in found.stderr
    assert id_of(bytes(LARGE)) in found.stdout
    report = shop.json("verify", check=False)
    assert (report["objects"], report["object_damages"]) == (2, 1)
    assert report["found_objects"][0]["what"] == (
        "its bytes from 4194304 to 5000000 are not those that were written"
    )
