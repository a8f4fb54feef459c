"""
Files as records: compression, encodings, quotes, and what is no record.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.bulk._files import compressed, opened, written
from store.bulk._readers import MAX_RECORD, Broken, Table
from store.errors import InvalidInput, StoreError

pytestmark = pytest.mark.serverless


def read(data: bytes, delimiter: str = ",") -> list[tuple[int, list[str] | str]]:
    """
    Return what comes behind the header: line, and fields or the reason why there are none.
    """
    with opened(io.BytesIO(data)) as source:
        table = Table(source, delimiter=delimiter)
        return [(table.line, row.reason if isinstance(row, Broken) else row) for row in table]


_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12) | st.sampled_from(["\r\n", '"', ",", '""'])


@given(st.lists(st.tuples(_CELLS, _CELLS), max_size=8))
def test_what_csv_writes_is_read(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("a", "b"), *rows])

    assert [list(row) for row in rows] == [row for _, row in read(text.getvalue().encode())]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_the_end(data: bytes) -> None:
    """
    Nothing but records, reasons and refusals of the header, whatever the file holds.
    """
    try:
        rows = read(b"a,b\n" + data)
    except StoreError:
        return

    lines = [line for line, _ in rows]
    assert lines == sorted(set(lines))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_compression_is_told_by_the_contents(pack, tmp_path: Path) -> None:
    path = tmp_path / "whatever.dat"
    path.write_bytes(pack(b"\xef\xbb\xbfa,b\n1,2\n"))
    with opened(path) as source:
        table = Table(source)
        rows = list(table)

        assert (("a", "b"), [["1", "2"]]) == (table.header, rows)
        assert source.position == source.size == path.stat().st_size


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(b"a\n1\n"))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(pipe))
        with opened("-") as source:
            assert [["1"]] == list(Table(source))
            assert source.size is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters(delimiter: str) -> None:
    assert [(2, ["1", "2"])] == read(f"a{delimiter}b\n1{delimiter}2".encode(), delimiter)


def test_lines_are_those_of_an_editor() -> None:
    rows = read(b'a,b\r\n1,"x\ny"\r\n\r\n2,\xe2\x80\xa8\r\n')

    assert [(2, ["1", "x\ny"]), (5, ["2", "\u2028"])] == rows


def test_too_few_and_too_many_fields() -> None:
    rows = read(b"a,b\n1\n1,2,3\n1,2\n")

    assert [
        (2, "the row has 1 fields and the header has 2"),
        (3, "the row has 3 fields and the header has 2"),
        (4, ["1", "2"]),
    ] == rows


def test_bytes_that_are_not_utf_8_spoil_their_own_field_only() -> None:
    assert [(2, ["caf\udce9", "ok"]), (3, ["1", "2"])] == read(b"a,b\ncaf\xe9,ok\n1,2\n")


def test_nul_arrives() -> None:
    assert [(2, ["1", "a\x00b"])] == read(b"a,b\n1,a\x00b\n")


def test_text_behind_a_closing_quote() -> None:
    rows = read(b'a,b\n1,"x"y\n1,2\n')

    assert [(2, "there is text between a closing quote and the next delimiter"), (3, ["1", "2"])] == rows


def test_a_quote_inside_a_plain_field_is_a_character() -> None:
    assert [(2, ["1", '5" nail'])] == read(b'a,b\n1,5" nail\n')


def test_a_quote_that_is_never_closed() -> None:
    assert [(2, ["1", "2"]), (3, "a quote is opened and never closed (lines 3 to 4)")] == read(b'a,b\n1,2\n3,"x\n4,5\n')


def test_a_carriage_return_alone() -> None:
    assert [(2, "a line ends with a carriage return alone"), (3, ["1", "2"])] == read(b"a,b\n1,2\r3,4\n1,2\n")


@pytest.mark.parametrize("size", [131_073, 10_000_000])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_field_without_end_is_refused_and_the_next_row_read(size: int, *, quoted: bool) -> None:
    field = b"x" * size
    rows = read(b"a,b\n1," + (b'"' + field + b'"' if quoted else field) + b"\n1,2\n")

    assert [(2, rows[0][1]), (3, ["1", "2"])] == rows
    assert "longer than" in rows[0][1]


def test_a_long_field_of_many_lines_is_skipped_whole() -> None:
    """
    What stands in its lines is text, however much it looks like rows.
    """
    field = b"evil,row\n" * 40_000
    rows = read(b'a,b\n1,"' + field + b'"\n1,2\n')

    assert [(2, "a field is longer than 131072 characters (lines 2 to 40002)"), (40_003, ["1", "2"])] == rows


def test_a_row_of_many_short_fields_ends_too() -> None:
    rows = read(b"a,b\n" + b"x," * MAX_RECORD + b"\n1,2\n")

    assert [(2, f"the row is longer than {MAX_RECORD} bytes"), (3, ["1", "2"])] == rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("a,b\n".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (b'a,"b"c\n', "line 1: there is text between"),
        (b'\n"a,b\n', "line 2: a quote is opened and never closed"),
    ],
)
def test_without_a_header_nothing_is_read(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(data)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_damaged_file_is_an_error(pack) -> None:
    packed = pack(b"a,b\n" + os.urandom(100_000).hex().encode() + b"\n")
    for damaged in (packed[:-20], packed[: len(packed) // 2] + b"\xff" * 10 + packed[len(packed) // 2 + 10 :]):
        with pytest.raises(StoreError, match="cannot be read"):
            read(damaged)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing\.csv cannot be read: No such file"), opened(tmp_path / "missing.csv"):
        pass
    with pytest.raises(StoreError, match="cannot be read: Is a directory"), opened(tmp_path):
        pass


def test_quotes_are_known_of_the_row_that_came_last() -> None:
    with opened(io.BytesIO(b'a,b\n" x ", x \n x ," ""y"" "\n')) as source:
        table = Table(source)
        found = [(table.raw(), table.is_quoted(" x "), table.is_quoted(' "y" ')) for _ in table]

    assert [('" x ", x ', True, False), (' x ," ""y"" "', False, True)] == found


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), written(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt

    assert "before" == path.read_text()
    with written(path) as file:
        file.write(b"after")
        assert "before" == path.read_text()
    assert "after" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_link_is_followed_and_a_device_written_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("")
    link.symlink_to(target)
    with written(link) as file:
        file.write(b"x")
    with written(Path(os.devnull)) as file:
        file.write(b"x")

    assert link.is_symlink()
    assert "x" == target.read_text()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: No such file"), written(tmp_path / "no" / "x"):
        pass
    with pytest.raises(StoreError, match="cannot be written"), written(tmp_path):
        pass


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.xz"])
def test_compression_gives_the_same_bytes_every_time(ending: str) -> None:
    def packed() -> bytes:
        file = io.BytesIO()
        with compressed(file, f"x.{ending}") as stream:
            stream.write(b"a\n1\n")
        return file.getvalue()

    assert packed() == packed()
    assert [(2, ["1"])] == read(packed())
