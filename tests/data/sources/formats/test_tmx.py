"""Translation memories."""

import gzip
from pathlib import Path

import pytest

from lai.host.errors import UserError

CASES = Path(__file__).resolve().parents[5] / "shared" / "cases"
MEMORY = '<?xml version="1.0"%s?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header/><body>%s</body></tmx>'
UNIT = '<tu><tuv xml:lang="en"><seg>dog</seg></tuv><tuv xml:lang="hu"><seg>őz</seg></tuv></tu>'


@pytest.mark.parametrize(
    ("english", "hungarian"),
    [
        ('<tuv xml:lang="en">', '<tuv xml:lang="hu">'),
        ('<tuv xml:lang="EN-US">', '<tuv xml:lang="hu-HU">'),
        ('<tuv lang="eng">', '<tuv lang="HU_hu" creationid="x">'),
    ],
)
def test_variants_are_found_by_language(read, pairs, english: str, hungarian: str) -> None:
    other = '<tuv xml:lang="de"><seg>Hund</seg></tuv>'
    unit = f"\n<tu>\n{other}{hungarian}<prop>x</prop><seg> kutya </seg></tuv>{english}<seg>dog</seg></tuv></tu>"
    assert read("a.tmx", MEMORY % ("", unit)) == pairs((4, "dog", "kutya"))


def test_markup_in_a_segment_is_left_out_and_its_text_kept(read, pairs) -> None:
    segment = (
        '<bpt i="1">&lt;b&gt;</bpt>The <hi>dog</hi><ept i="1">&lt;/b&gt;</ept> &amp;<ph>{1}<sub>x</sub></ph> a\n   cat'
    )
    unit = UNIT.replace("dog", segment).replace("őz", "&#337;z")
    assert read("a.tmx", MEMORY % ("", unit)) == pairs((3, "The dog & a cat", "őz"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-2"])
def test_the_encoding_of_the_file_is_followed(read, pairs, encoding: str) -> None:
    declared = "" if encoding.startswith("utf-8") else f' encoding="{encoding}"'
    assert read("a.tmx", (MEMORY % (declared, UNIT)).encode(encoding)) == pairs((3, "dog", "őz"))


def test_a_packed_memory_is_read(read, pairs) -> None:
    assert read("a.TMX.gz", gzip.compress((MEMORY % ("", UNIT * 2)).encode())) == pairs(*[(3, "dog", "őz")] * 2)


def test_a_unit_without_a_side_is_skipped_and_a_file_of_such_an_error(read, pairs, counts) -> None:
    alone = '<tu><tuv xml:lang="en"><seg>x</seg></tuv><tuv xml:lang="hu"><seg> </seg></tuv></tu>'
    assert read("a.tmx", MEMORY % ("", alone + UNIT)) == pairs((3, "dog", "őz"))
    assert counts.skipped == 1
    with pytest.raises(UserError, match=r"a\.tmx has no unit in both languages: found en; expected en and hu"):
        read("a.tmx", MEMORY % ("", '<tu><tuv xml:lang="en"><seg>x</seg></tuv></tu>'))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('<!DOCTYPE t [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><tmx>&c;</tmx>', "declares an entity"),
        ('<!DOCTYPE t [<!ENTITY a SYSTEM "file:///etc/passwd">]><tmx>&a;</tmx>', "declares an entity"),
        ('<!DOCTYPE t [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]><tmx/>', "declares an entity"),
        ((MEMORY % ("", UNIT))[:-9], r"a\.tmx:3: not TMX .*expected well-formed XML"),
        ("", "not TMX"),
        ("<html/>", "holds no <tmx>"),
        (MEMORY % (' encoding="utf-99"', UNIT), "unknown encoding.*expected UTF-8 or UTF-16"),
        (MEMORY % (' encoding="big5"', UNIT), "not TMX .*expected UTF-8 or UTF-16"),
    ],
)
def test_entities_and_damage_are_errors(read, data: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read("a.tmx", data)


@pytest.mark.skipif(not CASES.exists(), reason="shared/cases is not beside the checkout")
def test_the_shared_case_is_read_as_pairs(read, pairs) -> None:
    documents = read("a.tmx", (CASES / "corpus.tmx").read_bytes())
    assert len(documents) == 20
    assert documents[:2] == pairs((3, "The dog sleeps in the yard.", "A kutya az udvaron alszik."))
