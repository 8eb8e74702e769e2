"""cloister.django.storage keeps files as Django's own storages do."""

import io
import warnings

import cloister
import django_cache_test  # noqa: F401: configures Django, once a process
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from cloister import persistence
    from cloister.django.storage import CloisterStorage
    from django.core.files.base import ContentFile, File

LARGE = b"".join(b"%d;" % number for number in range(500_000))


@pytest.fixture
def storage():
    return CloisterStorage()


def test_a_file_comes_back_as_it_was_saved(storage):
    for name, data in (("a.txt", b"hello"), ("dir/b.bin", LARGE), ("empty", b"")):
        assert storage.save(name, ContentFile(data)) == name
        assert storage.exists(name) and storage.size(name) == len(data)
        with storage.open(name) as file:
            assert file.read() == data
            file.seek(1)
            assert file.read(10) == data[1:11]
    with storage.open("a.txt", "r") as file:
        assert file.read() == "hello"
    assert storage.save("text", ContentFile("näh")) == "text"
    assert storage.open("text").read() == "näh".encode()


def test_chunks_are_those_of_the_whole_file(storage):
    upload = File(io.BytesIO(LARGE))
    upload.read(100)
    storage.save("large", upload)
    assert b"".join(storage.open("large").chunks()) == LARGE


def test_a_name_that_is_taken_gets_another_one(storage):
    assert storage.save("a.txt", ContentFile(b"1")) == "a.txt"
    other = storage.save("a.txt", ContentFile(b"2"))
    assert other != "a.txt" and other.startswith("a_") and other.endswith(".txt")
    assert storage.open("a.txt").read() == b"1" and storage.open(other).read() == b"2"


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(storage, monkeypatch):
    storage.save("a.txt", ContentFile(b"1"))
    found = storage.get_available_name
    # As if nobody had had it yet when it was looked for at first.
    monkeypatch.setattr(storage, "get_available_name", lambda name, max_length=None: name)
    write = persistence.write

    def write_and_look_again(data):
        monkeypatch.setattr(storage, "get_available_name", found)
        return write(data)

    monkeypatch.setattr(persistence, "write", write_and_look_again)
    assert storage.save("a.txt", ContentFile(b"2")) != "a.txt"
    assert storage.open("a.txt").read() == b"1"


def test_deleting_removes_what_nothing_else_has(storage):
    storage.save("a", ContentFile(b"same"))
    storage.save("b", ContentFile(b"same"))
    assert persistence.usage().objects == 1
    storage.delete("a")
    assert not storage.exists("a") and storage.open("b").read() == b"same"
    storage.delete("b")
    assert persistence.usage() == (0, 0, 0)
    storage.delete("b")
    with pytest.raises(ValueError):
        storage.delete("")


def test_what_is_missing(storage):
    for call in (storage.open, storage.size, storage.get_modified_time):
        with pytest.raises(FileNotFoundError):
            call("missing")
    with pytest.raises(ValueError):
        storage.open("missing", "wb")


def test_directories(storage):
    for name in ("a", "d/b", "d/c", "d/e/f", "dx"):
        storage.save(name, ContentFile(b"x"))
    assert storage.listdir("") == (["d"], ["a", "dx"])
    assert storage.listdir("d") == storage.listdir("/d/") == (["e"], ["b", "c"])
    assert storage.listdir("missing") == ([], [])


def test_a_prefix_keeps_files_apart(storage):
    private = CloisterStorage(prefix="private/", base_url="/p/")
    private.save("a", ContentFile(b"p"))
    assert not storage.exists("a") and persistence.get("private/a")
    assert private.listdir("") == ([], ["a"])
    assert private.url("a b") == "/p/a%20b"


def test_times(storage):
    storage.save("a", ContentFile(b"x"))
    assert storage.get_created_time("a").tzinfo is not None
    assert storage.get_modified_time("a") == storage.get_created_time("a")


def test_a_quota_is_raised(storage):
    cloister.testing.limits(persistence_object=10)
    with pytest.raises(cloister.QuotaExceeded):
        storage.save("a", ContentFile(bytes(11)))
    assert not storage.exists("a")
