"""Text that was read in a wrong encoding, made by the encodings themselves."""

import pytest

from lai.data.text.encoding import is_partly_mended, mend_encoding

LINE = "Az őr a fűtőházban ült, és „hűvös” őszi reggel volt."
ENGLISH = "“It’s a café,” she said – twice."


def misread(text: str, right: str, wrong: str) -> str:
    """The bytes of one encoding as another one reads them; those that it lacks become control characters."""
    return "".join(bytes([byte]).decode(wrong, "ignore") or chr(byte) for byte in text.encode(right, "replace"))


@pytest.mark.parametrize("wrong", ["latin-1", "cp1252", "cp1250", "iso-8859-2", "mac_roman"])
@pytest.mark.parametrize("text", [LINE, ENGLISH, "könyvet az asztalra tesz", "őz"])
def test_utf_8_that_was_read_as_one_byte_a_character_is_mended(text: str, wrong: str) -> None:
    damaged = misread(text, "utf-8", wrong)
    assert damaged != text
    assert mend_encoding(damaged) == text
    for second in ("latin-1", "cp1252", "cp1250", "iso-8859-2", "mac_roman"):
        assert mend_encoding(misread(damaged, "utf-8", second)) == text  # twice


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("cp1250", "latin-1"), ("cp1250", "cp1252"), ("cp1250", "mac_roman"), ("mac_latin2", "latin-1"),
     ("mac_latin2", "cp1252")],
)  # fmt: skip
def test_hungarian_that_was_read_as_another_encoding_is_mended(right: str, wrong: str) -> None:
    text = LINE.replace("„", "").replace("”", "")
    damaged = misread(text, right, wrong)
    assert damaged != text and mend_encoding(damaged) == text


@pytest.mark.parametrize("second", ["latin-1", "cp1252", "cp1250", "iso-8859-2", "mac_roman"])
def test_latin_2_read_as_latin_1_and_then_its_utf_8_wrongly_is_mended(second: str) -> None:
    text = LINE.replace("„", "").replace("”", "")
    assert mend_encoding(misread(misread(text, "iso-8859-2", "latin-1"), "utf-8", second)) == text


def test_letters_that_stay_wrong_are_noticed() -> None:
    damaged = "VĂĄlasztott oszt|łly, megnyitÄ„s".replace("|", "ÄĂ")
    mended = mend_encoding(damaged)
    assert mended != damaged and is_partly_mended(damaged, mended)
    whole = misread(LINE, "utf-8", "cp1252")
    assert not is_partly_mended(whole, mend_encoding(whole)) and not is_partly_mended(LINE, LINE)


def test_western_letters_of_english_text_are_mended() -> None:
    text = "A naïve señor paid £5 for crème, voilà."
    assert mend_encoding(misread(text, "cp1252", "cp1250")) == text


@pytest.mark.parametrize(
    "text",
    [LINE, ENGLISH, "Dvořák lived in Plzeň.", "Déjà Dup is a backup tool.", "São Paulo não é a capital.",
     "Windows® is a name; 5 × 5 · 2 = 50",
     "Le château où dort le chien est sûr.", "Øl og ære", "Saône", "10 °C – 20 °C",
     "Komut çalıştırılamadı: dosya açılamıyor", "Închide fișierul și reia încărcarea", "Nepodarilo sa zatvoriť súbor",
     "završi znakom novog retka", "Błędny wariant czcionki", "außer Session", "vous devez être root", "dépôt Flatpak",
     "opções de ligações", "võtit on mõtet kasutada", "¡No tengo nombre!", "Vrstva lišty s cestou"],
)  # fmt: skip
def test_text_without_damage_stays(text: str) -> None:
    assert mend_encoding(text) == text
