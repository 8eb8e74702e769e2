"""What persistence does, wherever it runs: cases as those of cases.py, which takes them in.

Each begins without objects and names, with the quota WRITES.
"""

import hashlib
import io
import time

import cloister
from cloister import persistence
from expect import in_threads, raised

# Of persistence.writes, on both sides: the default would make the cases slow.
WRITES = 3000
NAME_MAX = 1024
PIECE = 1 << 20
ROW_MAX = 128 << 10


def clear():
    for name, _ in list(persistence.names()):
        persistence.delete_name(name)
    for each in list(persistence.objects()):
        persistence.delete(each)


def pattern(size, seed=0):
    """Bytes in which no two pieces are the same."""
    block = b"".join(b"%d:%d;" % (seed, number) for number in range(size // 4 + 1))
    return block[:size]


def id_of(data):
    return hashlib.sha256(data).hexdigest()


NOBODY = id_of(b"nobody has written this")


def case_objects_have_the_hash_of_their_bytes():
    for data in (b"", b"\0", b"hello", bytes(range(256)) * 10):
        assert persistence.write(data) == id_of(data)
        assert persistence.read(id_of(data)) == data
        assert type(persistence.read(id_of(data))) is bytes
    assert persistence.write(bytearray(b"ab")) == id_of(b"ab")
    assert persistence.write(memoryview(b"abcd")[::2]) == id_of(b"ac")


def case_objects_of_every_size():
    sizes = [ROW_MAX - 1, ROW_MAX, ROW_MAX + 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE]
    sizes += [3 * PIECE + 12345]
    for size in sizes:
        data = pattern(size)
        assert persistence.write(data) == id_of(data), size
        assert persistence.stat(id_of(data)).size == size
        assert persistence.read(id_of(data)) == data, size


def case_objects_from_files_and_iterables():
    data = pattern(2 * PIECE + 7)
    assert persistence.write(io.BytesIO(data)) == id_of(data)
    file = io.BytesIO(data)
    file.seek(100)
    assert persistence.write(file) == id_of(data[100:])
    pieces = (data[begin : begin + 99_991] for begin in range(0, len(data), 99_991))
    assert persistence.write(pieces) == id_of(data)
    assert persistence.write([b"a", bytearray(b"b"), memoryview(b"c"), b""]) == id_of(b"abc")
    assert persistence.write([]) == persistence.write(io.BytesIO()) == id_of(b"")
    assert persistence.write([data, data]) == id_of(data + data)


def case_objects_from_what_fails_half_way_are_not_there():
    data = pattern(3 * PIECE)

    def failing():
        yield data
        raise KeyError("no more")

    raised(KeyError, persistence.write, failing())
    raised(TypeError, persistence.write, [data, "text"])
    raised(TypeError, persistence.write, [data, 5])
    assert persistence.usage() == (0, 0, 0)
    assert not persistence.exists(id_of(data))
    # What was begun and failed is given back: this is more than may be open at one time.
    for _ in range(40):
        raised(KeyError, persistence.write, failing())
    assert persistence.write([data]) == id_of(data)


def case_objects_that_are_not_there():
    assert persistence.exists(NOBODY) is False
    for call in (persistence.read, persistence.stat, persistence.open):
        error = raised(persistence.ObjectNotFound, call, NOBODY)
        assert isinstance(error, LookupError) and error.id == NOBODY
    assert persistence.delete(NOBODY) is False
    raised(persistence.ObjectNotFound, persistence.put, "n", NOBODY)
    raised(persistence.ObjectNotFound, persistence.swap, "n", NOBODY, None)
    assert persistence.get("n") is None


def case_objects_are_kept_once():
    data = pattern(5000)
    for _ in range(3):
        persistence.write(data)
    large = pattern(2 * PIECE)
    for _ in range(2):
        persistence.write(large)
    assert persistence.usage() == (len(data) + len(large), 2, 0)
    assert persistence.stat(id_of(data)).id == id_of(data)


def case_objects_are_deleted():
    for size in (10, 300_000):
        data = pattern(size)
        id = persistence.write(data)
        assert persistence.delete(id) is True
        assert persistence.delete(id) is False
        assert not persistence.exists(id)
        raised(persistence.ObjectNotFound, persistence.read, id)
        assert persistence.usage() == (0, 0, 0)
        assert persistence.write(data) == id and persistence.read(id) == data
        persistence.delete(id)


def case_open_reads_any_part():
    data = pattern(3 * PIECE + 1000)
    with persistence.open(persistence.write(data)) as file:
        assert (file.id, file.size) == (id_of(data), len(data))
        assert file.readable() and file.seekable() and not file.writable()
        assert file.read(10) == data[:10] and file.tell() == 10
        for place in (0, 1, PIECE - 5, PIECE, 2 * PIECE - 1, 3 * PIECE, len(data) - 3):
            assert file.seek(place) == place
            assert file.read(10) == data[place : place + 10], place
        assert file.seek(-5, io.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:] and file.read() == b"" and file.read(1) == b""
        assert file.seek(len(data) + 100) and file.read() == b""
        file.seek(7)
        assert file.read() == data[7:]
        raised(ValueError, file.seek, -1)
    raised(ValueError, file.read)
    with persistence.open(persistence.write(b"a\nb\nc")) as file:
        assert list(file) == [b"a\n", b"b\n", b"c"]
    with persistence.open(persistence.write(b"")) as file:
        assert file.read() == b"" and file.size == 0


def case_an_object_is_written_from_another_one():
    first = persistence.write(pattern(2 * PIECE + 5))
    with persistence.open(first) as file:
        assert persistence.write(file) == first
    with persistence.open(first) as file:
        file.seek(1)
        assert persistence.write(file) == id_of(pattern(2 * PIECE + 5)[1:])


def case_names_refer_to_objects():
    a, b = persistence.write(b"a"), persistence.write(b"b")
    assert persistence.get("n") is None and persistence.get("n", 5) == 5
    assert persistence.put("n", a) is None
    assert persistence.get("n") == a
    persistence.put("n", b)
    assert persistence.get("n") == b
    assert persistence.usage() == (2, 2, 1)
    assert persistence.delete_name("n") is True
    assert persistence.delete_name("n") is False
    assert persistence.get("n") is None and persistence.read(b) == b"b"


def case_an_object_with_a_name_stays():
    id = persistence.write(b"kept")
    persistence.put("n", id)
    assert raised(persistence.ObjectInUse, persistence.delete, id).id == id
    assert persistence.read(id) == b"kept"
    persistence.delete_name("n")
    assert persistence.delete(id) is True


def case_a_name_goes_with_its_object():
    id = persistence.write(pattern(200_000))
    persistence.put("a", id)
    persistence.put("b", id)
    assert persistence.delete_name("a", with_object=True) is True
    assert persistence.exists(id)
    assert persistence.delete_name("b", with_object=True) is True
    assert not persistence.exists(id)
    assert persistence.delete_name("b", with_object=True) is False
    assert persistence.usage() == (0, 0, 0)


def case_swap_changes_what_was_expected():
    a, b, c = (persistence.write(data) for data in (b"a", b"b", b"c"))
    assert persistence.swap("n", a, b) is False and persistence.get("n") is None
    assert persistence.swap("n", a, None) is True
    assert persistence.swap("n", b, None) is False
    assert persistence.swap("n", b, c) is False and persistence.get("n") == a
    assert persistence.swap("n", b, a) is True and persistence.get("n") == b
    assert persistence.swap("n", b, b) is True
    raised(persistence.ObjectNotFound, persistence.swap, "n", NOBODY, b)
    assert persistence.get("n") == b


def case_swap_in_50_threads_has_one_winner():
    ids = [persistence.write(b"%d" % number) for number in range(50)]
    results = in_threads(50, lambda number: persistence.swap("n", ids[number], None))
    assert results.count(True) == 1 and results.count(False) == 49
    assert persistence.get("n") == ids[results.index(True)]


def case_swap_in_threads_loses_no_change():
    persistence.put("n", persistence.write(b"0"))

    def add_one(number):
        while True:
            old = persistence.get("n")
            new = persistence.write(b"%d" % (int(persistence.read(old)) + 1))
            if persistence.swap("n", new, old):
                return None

    assert in_threads(8, add_one) == [None] * 8
    assert persistence.read(persistence.get("n")) == b"8"


def case_objects_written_in_50_threads():
    data = [pattern(1000, number % 10) for number in range(50)]
    assert in_threads(50, lambda number: persistence.write(data[number])) == list(map(id_of, data))
    assert persistence.usage() == (10_000, 10, 0)
    large = [pattern(PIECE + 10, number % 3) for number in range(9)]
    assert in_threads(9, lambda number: persistence.write(large[number])) == list(map(id_of, large))
    assert persistence.usage().objects == 13
    for each in large:
        assert persistence.read(id_of(each)) == each


def case_names_are_listed_in_pages():
    id = persistence.write(b"x")
    names = ["a", "a/1", "a/10", "a/2", "b", "\u00fc", "z", "\u65e5\u672c", "\U0001f600"]
    for name in names:
        persistence.put(name, id)
    ordered = sorted(names, key=str.encode)
    assert list(persistence.names()) == [(name, id) for name in ordered]
    assert [name for name, _ in persistence.names("a/")] == ["a/1", "a/10", "a/2"]
    assert list(persistence.names("missing")) == []
    page = persistence.list_names(limit=4)
    assert [name for name, _ in page.names] == ordered[:4] and page.next == ordered[3]
    page = persistence.list_names(after=page.next, limit=5)
    assert [name for name, _ in page.names] == ordered[4:] and page.next is None
    page = persistence.list_names("a/", limit=2)
    assert page == ([("a/1", id), ("a/10", id)], "a/10")
    assert persistence.list_names("a/", after="a/10") == ([("a/2", id)], None)
    assert persistence.list_names("a/", after="b") == ([], None)
    assert persistence.list_names(after="b\0", limit=1).names[0][0] == "z"


def case_objects_are_listed_in_pages():
    ids = sorted(persistence.write(b"%d" % number) for number in range(10))
    assert list(persistence.objects()) == ids
    assert persistence.list_objects(limit=4) == (ids[:4], ids[3])
    assert persistence.list_objects(ids[3], 6) == (ids[4:], None)
    assert persistence.list_objects(ids[9]) == ([], None)
    for limit in (0, 1001, -1):
        raised(ValueError, persistence.list_objects, limit=limit)
        raised(ValueError, persistence.list_names, limit=limit)
    raised(TypeError, persistence.list_names, limit="5")


def case_a_name_has_1_to_1024_bytes():
    id = persistence.write(b"x")
    for name in ("n" * (NAME_MAX - 1), "n" * NAME_MAX, "\u00fc" * (NAME_MAX // 2), "\0", " ", "/"):
        persistence.put(name, id)
        assert persistence.get(name) == id
        assert persistence.delete_name(name) is True
    for name in ("", "n" * (NAME_MAX + 1), "\u00fc" * (NAME_MAX // 2 + 1), "\ud800"):
        for call in (persistence.get, persistence.delete_name):
            raised(ValueError, call, name)
        raised(ValueError, persistence.put, name, id)


def case_ids_and_names_of_wrong_types():
    for wrong in (None, 1, b"a" * 64, object()):
        for call in (persistence.read, persistence.open, persistence.stat, persistence.delete):
            raised(TypeError, call, wrong)
        raised(TypeError, persistence.put, "n", wrong)
        raised(TypeError, persistence.get, wrong)
        raised(TypeError, persistence.put, wrong, NOBODY)
    for wrong in ("", "a", "A" * 64, "g" * 64, "a" * 63, "a" * 65, "\u0661" * 64):
        raised(ValueError, persistence.read, wrong)
        raised(ValueError, persistence.exists, wrong)
        raised(ValueError, persistence.put, "n", wrong)
    for wrong in ("text", None, 5, object()):
        raised(TypeError, persistence.write, wrong)
    raised(TypeError, persistence.write, io.StringIO("text"))
    assert persistence.usage() == (0, 0, 0)


def case_objects_more_writes_than_a_second_has():
    def use_up():
        for _ in range(20 * WRITES):
            persistence.delete(NOBODY)

    error = raised(cloister.QuotaExceeded, use_up)
    assert (error.quota, error.limit) == ("persistence.writes", WRITES)
    assert error.used > error.limit and error.retry_after >= 0.001
    # Reading is no writing.
    assert persistence.exists(NOBODY) is False
    time.sleep(max(error.retry_after, 1.2))
    assert persistence.delete(NOBODY) is False


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}
