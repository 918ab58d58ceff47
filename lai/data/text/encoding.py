"""Text whose bytes were read in the wrong encoding: mojibake.

There are two kinds. UTF-8 was read as an encoding of one byte a character, so that a letter became two or three
(`Å‘` for `ő`). Or one such encoding was read as another (`õ` for `ő`, `·` for `á`). The encodings are those of Western
and Central European systems. `ftfy` mends the first kind where the damage is dense; of Hungarian it leaves short lines,
most of Latin-2, and the second kind.
"""

import re
from functools import lru_cache

from lai.data.text.characters import HUNGARIAN_LETTERS
from lai.data.text.language import identify, may_be_third

# What Hungarian and English text holds besides ASCII and Hungarian letters; all else makes a line a suspect.
USUAL = frozenset(HUNGARIAN_LETTERS + "„”“’‘–—…→▸•°×«»€−≤≥←↑↓²³\u00a0\u00ad\u2028\u202f\u2009\u200b\ufeff")

_SUSPECT = re.compile(f"[^\x00-\x7f{''.join(sorted(USUAL))}]")
_ENCODINGS = ("cp1252", "latin-1", "cp1250", "iso-8859-2", "mac_roman")
_OTHERS = "ĀāĂăĄąĆćČčĎďĐđĒēĖėĘęĚěĞğĢģĪīĮįİıĶķĹĺĻļĽľŁłŃńŅņŇňŒœŔŕŘřŚśŞşŠšŢţŤťŪūŮůŲųŹźŻżŽž"
_PAIRS = frozenset(HUNGARIAN_LETTERS + _OTHERS + "".join(map(chr, range(0xA0, 0x100))))
_MAX_TIMES = 3  # that a text was read wrongly
# (what the bytes are, what they were read as): of one byte a character each
_CONFUSED = (
    ("cp1250", "mac_roman"),
    ("mac_latin2", "cp1252"),
    ("mac_latin2", "latin-1"),
    ("mac_latin2", "cp1250"),
    ("mac_latin2", "iso-8859-2"),
    ("mac_latin2", "mac_roman"),
    ("mac_roman", "cp1252"),
    ("mac_roman", "latin-1"),
    ("mac_roman", "cp1250"),
    ("mac_roman", "iso-8859-2"),
    ("cp1250", "mac_latin2"),
    ("cp852", "cp1252"),
    ("cp852", "latin-1"),
    ("cp852", "cp1250"),
    ("cp1250", "cp852"),
    ("cp1250", "cp437"),
    ("cp1252", "latin-1"),  # last: it mends only the punctuation that Latin-1 has no characters for
)
_MAX_BETWEEN = 150  # characters between two letters that were read wrongly
_MAX_BETWEEN_LEFT = 60  # characters between two letters that mending left, in other text than Hungarian
_MIN_DENSE, _MAX_BETWEEN_DENSE = 4, 15  # suspects, and characters between two: where many guesses are worth their time
_TILDES = str.maketrans("õûÕÛôÔ", "őűŐŰőŐ")
_CAPITAL_INSIDE = re.compile("[a-záéíóöőúüű][ÁÉÍÓÖŐÚÜŰ]")
_TILDE = re.compile("[õûÕÛ]")
_TILDE_OF_HUNGARIAN = re.compile("[õÕ](?![eE])")
_HAT = re.compile("[ôÔ]")
# Western text read as Central European: words of English text, the pound sign, the turned question mark.
_WESTERN = re.compile(
    r"\b(?:ŕ|voilŕ|déjŕ|vis-ŕ-vis|naď(?:ve|vely|veté|f)|seńor(?:a|ita|es)?|jalapeńos?|pińata|mańana|crčme|fęte|tęte|"
    r"ĺngström|smörgĺsbord|Săo|Řrsted)\b|Ł(?=\d)|ż(?=Qu)",
    re.IGNORECASE,
)


@lru_cache
def _table(encoding: str) -> str:
    """The character of each byte; a byte without one is the control character of its number."""
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in range(256))


@lru_cache
def _bytes_of(encoding: str) -> dict[str, int]:
    return {character: byte for byte, character in reversed(list(enumerate(_table(encoding))))}


@lru_cache
def _exchange(right: str, wrong: str) -> dict[int, str]:
    """For `str.translate`: what each character beyond ASCII was before it was read in the wrong encoding."""
    table = _table(right)
    return {ord(character): table[byte] for character, byte in _bytes_of(wrong).items() if not character.isascii()}


@lru_cache
def _sequence(encoding: str) -> re.Pattern[str]:
    """The characters that a letter or sign of UTF-8 becomes when it is read in this encoding."""
    table = _table(encoding)

    def among(first: int, last: int) -> str:
        return "[" + re.escape("".join(table[first : last + 1])) + "]"

    rest = among(0x80, 0xBF)
    punctuation = (
        re.escape(table[0xE2]) + "[" + re.escape("".join(table[byte] for byte in range(0x80, 0xA0))) + "]" + rest
    )
    mark = re.escape(table[0xEF] + table[0xBB] + table[0xBF])
    picture = re.escape(table[0xF0] + table[0x9F]) + rest * 2
    return re.compile(f"{among(0xC2, 0xC5)}{rest}|{punctuation}|{mark}|{picture}")


@lru_cache(4096)
def _reread(found: str, encoding: str) -> str:
    """The character of UTF-8 that these characters were; themselves if that is none of a text."""
    of = _bytes_of(encoding)
    try:
        character = bytes(of[part] for part in found).decode()
    except UnicodeDecodeError:
        return found
    return character if len(found) > 2 or character in _PAIRS else found


def mend_encoding(text: str) -> str:
    """The text as it was before its bytes were read in a wrong encoding; other text as it is."""
    if text.isascii():
        return text
    for _ in range(_MAX_TIMES):
        before = text
        if _suspects(text):
            text = _mend_confusion(_mend_sequences(_undo_layers(text)))
            text = _mend_rest(text)
        if text == before:
            break
    return _mend_western(mend_tildes(text))


def is_partly_mended(damaged: str, mended: str) -> bool:
    """Whether letters are left in a mended text that were read wrongly, so that only its source has the right ones."""
    left = _suspects(mended)
    if mended == damaged or not left:
        return False
    return identify(mended) == "hu" or left * _MAX_BETWEEN_LEFT > len(mended)


def mend_tildes(text: str) -> str:
    """Hungarian text with ő and ű where õ and û stand, or ô: Latin-2 was read as Latin-1."""
    if _TILDE.search(text):
        mended = text.translate(_TILDES)
        # Portuguese has õ before e alone.
        is_hungarian = identify(mended) == "hu" and not may_be_third(
            text, ("pt",) if _TILDE_OF_HUNGARIAN.search(text) else ()
        )
        return mended if is_hungarian else text
    if (
        _HAT.search(text)
        and "ő" not in text
        and "ű" not in text
        and identify(_HAT.sub("", text)) == "hu"
        and not may_be_third(text)
    ):
        return text.translate(_TILDES)
    return text


def _suspects(text: str) -> int:
    """How many characters Hungarian and English text hardly has."""
    return len(_SUSPECT.findall(text))


def _wrongness(text: str) -> tuple[int, int]:
    """By which of several readings the least wrong one is chosen: suspects, then capitals inside words."""
    return _suspects(text), len(_CAPITAL_INSIDE.findall(text))


def _undo_layers(text: str) -> str:
    """UTF-8 that was read wrongly as a whole, up to _MAX_TIMES; between, one encoding may have been read as another.

    Each letter beyond ASCII must be part of a whole character of UTF-8, which other text hardly is by chance.
    """
    suspects = _suspects(text)
    candidates = [text]
    dense = suspects >= _MIN_DENSE and suspects * _MAX_BETWEEN_DENSE > len(text)
    level = [text]
    for _ in range(_MAX_TIMES):
        before, level = level, _before_utf8(level)
        if not level and dense:
            level = _before_utf8([each.translate(_exchange(*pair)) for each in before for pair in _CONFUSED])
        candidates += [found for found in level if _suspects(mend_tildes(found)) < suspects]
    return min(candidates, key=lambda found: _wrongness(mend_tildes(found)))


def _before_utf8(texts: list[str]) -> list[str]:
    """What the texts can have been before their UTF-8 was read in another encoding, each once, the likeliest first."""
    read = (_as_utf8(text, encoding) for text in texts for encoding in _ENCODINGS)
    return list(dict.fromkeys(found for found in read if found is not None))


def _as_utf8(text: str, encoding: str) -> str | None:
    """The text whose UTF-8 was read in this encoding; None if there is none, or no other one."""
    of = _bytes_of(encoding)
    try:
        found = bytes(of[character] for character in text).decode()
    except (KeyError, UnicodeDecodeError):
        return None
    return found if found != text else None


def _mend_sequences(text: str) -> str:
    """UTF-8 that was read as one byte a character: of the encodings, that which leaves the fewest suspects."""
    candidates = [text]
    for encoding in _ENCODINGS:
        mended = _sequence(encoding).sub(lambda found, encoding=encoding: _reread(found[0], encoding), text)  # type: ignore[misc]
        if mended != text:
            candidates.append(mended)
    return min(candidates, key=_wrongness)


def _mend_confusion(text: str) -> str:
    """One byte a character that was read as another encoding, if the text is then Hungarian; õ and û first."""
    best = mend_tildes(text)
    if may_be_third(text):
        return best
    fewest = _suspects(best)
    # Read wrongly, Hungarian has a suspect in every few words; a foreign name in a long text has one.
    if fewest * _MAX_BETWEEN < len(text):
        return best
    for right, wrong in _CONFUSED:
        mended = text.translate(_exchange(right, wrong))
        left = _suspects(mended)
        if left < fewest and _is_plausible(text, mended, right == "cp1252"):
            best, fewest = mended, left
    return best


def _mend_rest(text: str) -> str:
    """What is left for a library that knows more encodings."""
    if not _suspects(text):
        return text
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    return fix_encoding(text) if is_bad(text) else text


def _is_plausible(text: str, mended: str, controls: bool) -> bool:
    """Whether most of what changed became Hungarian letters inside words, or punctuation."""
    changed = gained = 0
    for index, (old, new) in enumerate(zip(text, mended, strict=True)):
        if old == new or (new in USUAL and not new.isalpha()):
            continue
        changed += 1
        before, after = mended[max(0, index - 1) : index], mended[index + 1 : index + 2]
        inside = before.isalpha() or after.isalpha()
        gained += (
            new in HUNGARIAN_LETTERS
            and inside
            and not (new.isupper() and (before.islower() or after.islower()) and before.isalpha())
        )
    if controls:
        return not changed
    return gained > 0 and gained > 0.8 * changed and identify(mended) == "hu"


def _mend_western(text: str) -> str:
    """English text whose French, Spanish and Nordic letters were read as Central European ones."""
    table = _exchange("cp1252", "cp1250")
    return _WESTERN.sub(lambda found: found[0].translate(table), text)
