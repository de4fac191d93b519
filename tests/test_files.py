"""Files on disk: the old one survives a failed write, a read says in one line what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from qworkbench.errors import FileFormatError
from qworkbench.files import read_text, write_bytes, write_text


def test_text_comes_back(tmp_path):
    assert write_text(tmp_path / "a.txt", "µ\n") == tmp_path / "a.txt"
    assert read_text(tmp_path / "a.txt", what="a note", largest=10) == "µ\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    target = write_text(tmp_path / "a.txt", "old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileFormatError, match=r"cannot write .*a\.txt': No space left on device"):
        write_bytes(target, b"new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_no_such_folder(tmp_path):
    with pytest.raises(FileFormatError, match=r"cannot write .*: No such file or directory"):
        write_text(tmp_path / "none" / "a.txt", "new")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(FileFormatError, match=r"^no file .*; save one first$"):
        read_text(tmp_path / "none", what="a note", largest=10, missing="save one first")
    with pytest.raises(FileFormatError, match="cannot read"):
        read_text(tmp_path, what="a note", largest=1 << 20)
    (tmp_path / "latin").write_bytes(b"\xe9t\xe9")
    with pytest.raises(FileFormatError, match="is not UTF-8 text; not a note"):
        read_text(tmp_path / "latin", what="a note", largest=10)
    (tmp_path / "large").write_bytes(b"x" * (3 << 20))
    with pytest.raises(FileFormatError, match="is larger than 2 MB; not a note"):
        read_text(tmp_path / "large", what="a note", largest=2 << 20)
