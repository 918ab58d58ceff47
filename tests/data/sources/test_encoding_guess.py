"""The encoding of text that is no UTF-8."""

import subprocess
from pathlib import Path

import pytest

from lai.data.quality.report import examine
from lai.data.sources.encoding_guess import likely_encoding
from lai.data.sources.files import read_documents
from lai.host.errors import UserError

TEXT = "Az őr a fűtőházban ült.\nTűz ég a kőből épült kályhában, és hűvös őszi reggel volt.\n"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("iso-8859-2", "ISO-8859-2"), ("cp852", "CP852"), ("mac_latin2", "MAC-CENTRALEUROPE"), ("utf-16", "UTF-16"),
     ("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE")],
)  # fmt: skip
def test_a_file_in_another_encoding_is_refused_with_the_command_that_converts_it(
    tmp_path: Path, encoding: str, name: str
) -> None:
    path = tmp_path / "a b.txt"
    path.write_bytes(TEXT.encode(encoding))
    for read in (lambda: list(read_documents(path)), lambda: examine([path])):
        with pytest.raises(UserError, match=f"is {name}; expected UTF-8: iconv -f {name} -t UTF-8") as error:
            read()
    command = str(error.value).partition("UTF-8: ")[2].replace("NEW", str(tmp_path / "new"))
    subprocess.run(command, shell=True, check=True)
    assert (tmp_path / "new").read_text(encoding="utf-8").lstrip("\ufeff") == TEXT


def test_cp1250_is_told_from_latin_2_by_its_punctuation() -> None:
    assert likely_encoding(("„Jó” – mondta. " + TEXT).encode("cp1250")) == "CP1250"


@pytest.mark.parametrize(
    "text", [TEXT.encode(), b"a \xff byte", b"caf\xe9", bytes(range(256)), b"", TEXT.encode() + b"\xf5"]
)
def test_utf_8_with_stray_bytes_is_not_refused(text: bytes) -> None:
    assert likely_encoding(text) is None
