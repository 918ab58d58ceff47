"""Folding against Unicode's own data and the rules one by one."""

import random
import unicodedata

import pytest
from typed_texts import EVERY_CHARACTER, INVISIBLES, odd_texts

from lai.config.compose import compose_run
from lai.data.synthetic import SyntheticConfig, generate
from lai.tokenizer.chat import Turn, plain
from lai.tokenizer.folding import REPLACED, fold_documents, fold_text, fold_texts

SENTENCE = "A kutya piros almát eszik."


def fold(text: str) -> str:
    return fold_text(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def test_forms_of_one_sentence_are_folded_to_one() -> None:
    forms = [
        unicodedata.normalize("NFD", SENTENCE),
        SENTENCE.replace(" ", "\u00a0"),
        SENTENCE.replace(" ", " \t\u2009 "),
        "\ufeff" + SENTENCE,
        SENTENCE.replace("alm", "al\u00adm"),
        SENTENCE.replace("alm", "al\u200bm\u2060"),
        f"\u202a{SENTENCE}\u202c\u200e",
        f"  {SENTENCE}  ",
        f"\r\n{SENTENCE}\r\n\r\n",
    ]
    assert {fold(form) for form in forms} == {SENTENCE}


def test_quotes_and_dashes_become_those_of_a_keyboard() -> None:
    assert fold("„Anna’s” “x” «y» ‚z‘ ‹w›") == '"Anna\'s" "x" "y" \'z\' \'w\''
    assert fold("a\u2010b\u2011c\u2012d\u2013e\u2014f\u2015g\u22121") == "a-b-c-d-e-f-g-1"


def test_line_ends_stay_and_are_of_one_kind() -> None:
    assert fold("a\r\nb\rc\nd\u2028e\u2029f\u0085g") == "a\nb\nc\nd\ne\nf\ng"
    assert fold("a  \r\n\t b\n\n\n c") == "a\nb\n\n\nc"


def test_text_of_blanks_and_invisible_characters_is_empty() -> None:
    assert fold("".join(INVISIBLES) + "".join(REPLACED[c] for c in REPLACED if REPLACED[c] in " \n")) == ""
    assert fold("") == fold(" \u00a0\u200b\ufeff\r\n") == ""


def test_every_blank_of_unicode_is_folded() -> None:
    blanks = [c for c in EVERY_CHARACTER if unicodedata.category(c) == "Zs"] + ["\t", "\v", "\f"]
    assert len(blanks) > 15 and {fold(f"a{blank}b") for blank in blanks} == {"a b"}


def test_every_format_character_is_dropped_unless_it_is_visible() -> None:
    visible = "ARABIC NUMBER SIGN", "ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"
    kept = [c for c in EVERY_CHARACTER if unicodedata.category(c) == "Cf" and fold(f"a{c}b") != "ab"]
    assert all(unicodedata.name(c).startswith(visible) for c in kept)


def test_the_rest_is_nfc() -> None:
    draw, dropped = random.Random(1), set(INVISIBLES)
    plain_characters = [c for c in EVERY_CHARACTER if c not in dropped and c not in REPLACED and c not in " \n"]
    combining = [c for c in plain_characters if unicodedata.combining(c)]
    for _ in range(3000):
        text = "".join(draw.choice(draw.choice([plain_characters, combining])) for _ in range(12))
        assert fold(text) == unicodedata.normalize("NFC", text)
    for text in ("a".join(plain_characters), "\u0301a".join(plain_characters)):
        assert fold(text) == unicodedata.normalize("NFC", text)


def test_bytes_of_no_utf8_stay() -> None:
    assert fold_text(b"a\xff  b\xc3\xe2\x80") == b"a\xff b\xc3\xe2\x80"
    # Without the invisible character, the two bytes would be a no-break space.
    assert fold_text("a\u200b".encode() + b"\xc2\xe2\x80\x8b\xa0b") == b"a\xc2\xe2\x80\x8b\xa0b"


def test_folding_a_folded_text_changes_nothing() -> None:
    texts = [*odd_texts(20_000), *(f"a{c}\u0301{c}b".encode() for c in EVERY_CHARACTER[:0x3100])]
    folded = [fold_text(text) for text in texts]
    assert [fold_text(text) for text in folded] == folded


def test_many_texts_are_folded_as_one_by_one() -> None:
    texts = [*odd_texts(20_000, seed=2), b"", b" ", b"\n", b"a ", b" a", b"a\n", b"\na", b"a\nb", b"a b", b"a  b"]
    random.Random(3).shuffle(texts)
    assert fold_texts(texts) == [fold_text(text) for text in texts]
    for text in texts[:2000]:
        assert fold_texts([text]) == [fold_text(text)]
    assert fold_texts([]) == []


def test_no_character_passes_unseen() -> None:
    characters = EVERY_CHARACTER[:0x3100] + EVERY_CHARACTER[0x3100::97]
    texts = [form.format(character).encode() for character in characters for form in ("a{} ő", "{}", "x{}")]
    assert fold_texts(texts) == [fold_text(text) for text in texts]


@pytest.mark.parametrize("text", ["a" + "\u0301\u0323" * 200_000, "á" * 400_000, " \n" * 400_000, "“\u00ad" * 400_000])
def test_long_texts_are_folded_in_time(text: str) -> None:
    # A quadratic step would take hours.
    folded = fold(text)
    assert fold(folded) == folded
    if text.startswith("a\u0301"):
        assert folded == "\u1ea1" + "\u0323" * 199_999 + "\u0301" * 200_000


def test_documents_keep_their_turns_and_blank_ones_are_dropped() -> None:
    question = (Turn("user", "  A\u0301? ".encode()), Turn("assistant", "„B”".encode()))
    answerless = (Turn("user", b"a"), Turn("assistant", b""))
    documents = [plain("\ufeff\u00a0".encode()), question, plain(b"same"), plain("a–b".encode()), answerless]
    assert fold_documents(documents) == [
        (Turn("user", "Á?".encode()), Turn("assistant", b'"B"')),
        plain(b"same"),
        plain(b"a-b"),
        answerless,
    ]
    assert fold_documents([]) == []


@pytest.mark.parametrize("settings", [["data=synthetic"], ["experiment=quickstart", "data.synthetic.sentences=3000"]])
def test_generated_text_is_folded_already(settings: list[str]) -> None:
    synthetic = compose_run(settings).data.synthetic
    assert synthetic is not None
    chosen = {name: getattr(synthetic, name) for name in synthetic.__dataclass_fields__}
    for key in ("sentences", "stories", "translations", "instructions"):
        chosen[key] = min(chosen[key] or 0, 3000)
    documents = [example.document for example in generate(SyntheticConfig(**chosen))]
    assert documents and fold_documents(documents) == documents
