"""The language of a text by common words and letters: Hungarian, English, or a third one by its code.

Each listed word, and each letter that a language has beyond English ones, is a point for its languages. The language
with most points wins, Hungarian and English before others. A third language needs two points more than both. A text
without points is "other", as are numbers, code and most names. On paragraphs and sentences of real text, fewer than
one in a hundred are wrong. Single words often give no point.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

Language = str
"""`hu`, `en`, the two-letter code of a third language, or `other`."""

# Words that Hungarian and English write alike (a, is, be) count for English or for none.
_HUNGARIAN = (
    "az egy és hogy nem ez ezt azt volt van meg de ha csak már még mint vagy el fel ki le mert majd lesz lehet "
    "kell minden nagy nagyon szerint után ne aki ami amely akkor itt ott mit mi te ő én sem pedig mely ezek azok "
    "vannak voltak nincs igen jó két első által között során illetve valamint kis hol hova melyik"
)
_ENGLISH = (
    "the of and to in that it was for on with as his he be at by not this had are but from or have they which one "
    "you were her all she there would their we him been has when who will more no if out so said what up its about "
    "into than them can only other some could these two may then do first any my now such like our over me even "
    "most made your did is an does how where why"
)
# Third languages: their commonest words and the letters beyond a to z.
_THIRD = {
    "de": ("der die das und ist nicht ich ein eine einen mit zu den dem von sich auf für im sie er es wir ihr auch als "
           "wie bei nach aus wird werden sind hat haben war waren wenn noch nur oder über kann mehr diese", "äöüß"),
    "fr": ("le la les des et est un une dans pour que qui ne pas sur avec ce il elle nous vous je sont au aux par plus "
           "cette mais ou son sa ses être été avait fait comme tout leur se du où", "àâçéèêëîïôùûœ"),
    "es": ("el la los las de y en que un una es por con para se no del lo su al como más pero sus le ya este sí porque "
           "esta entre cuando muy sin sobre también me hasta hay donde está son fue", "áéíóúñ¿¡"),
    "it": ("il lo la gli le di e che un una è per non con si da del della dei nel sono come anche più ma se ha al alla "
           "questo essere era ho ci dal perché molto quando", "àèéìòù"),
    "pt": ("o os as de e que um uma em não para com se por mais dos das no na ao como mas foi ele ela seu sua ou "
           "quando muito já também só pelo pela até isso está são", "ãõçáéíóúâêôà"),
    "ro": ("și şi în este nu la cu pe care un o din pentru sunt mai că ce au fost se dar sau prin acest această el ea "
           "lui după fără către", "ăâîșțşţ"),
    "nl": ("de het een en van ik te dat die niet is zijn op aan met voor er maar om hem dan zou wat mijn dit zo door "
           "ook bij naar uit kan geen nog wordt heeft deze worden", ""),
    "pl": ("i w na z się nie do to że jest jak za od po co tak o ale ma był było przez dla tym jego czy są może oraz "
           "który która które tylko", "ąćęłńóśźż"),
    "cs": ("a se na v je že to s z do o i ve ale jako za by pro tak po jsem jsou který která nebo byl bylo při když "
           "jeho také už není aby", "áčďéěíňóřšťúůýž"),
    "sk": ("a sa na v je že to s z do o i vo ale ako za by pre tak po som sú ktorý ktorá alebo bol bolo pri keď jeho "
           "tiež už nie aby", "áäčďéíĺľňóôŕšťúýž"),
    "hr": ("i u je se na da za su od s kao ne to koji koja koje će iz ili bio bilo ali može što nije samo po do biti "
           "sam smo", "čćđšž"),
    "sv": ("och att det som en på är av för med den till inte om han ett men var jag sig från vi så kan när har hade "
           "eller ska", "åäö"),
    "da": ("og i at det en den til er som på de med han af for ikke der var mig sig men et har om vi havde jeg nu over "
           "kunne eller", "æøå"),
    "fi": ("ja on ei se että oli hän mutta kun joka myös tai ovat mitä niin kuin minä sen olen jos nyt vain", "äö"),
    "et": ("ja on ei see et ta oli kui ka aga mis oma ma kes nii ning või siis seda", "äöõü"),
    "tr": ("ve bir bu da de için ile çok daha ne gibi olan olarak değil kadar ama sonra ben mi var yok her", "çğıöşü"),
}  # fmt: skip
_SCRIPTS = (
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff\u1f00-\u1fff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
)
_HUNGARIAN_LETTERS = frozenset("áéíóöőúüű")
_BEYOND_ASCII = re.compile("[^\x00-\x7f\u2000-\u2bff×«»°]")  # without punctuation
_WORD = re.compile(r"[^\W\d_]+")
_SIGNS = frozenset("¡¿«»°ªº·„”“’‘‚–—…•→×−€§©®™\u00a0\u2009\u202f")
_CAPITAL_INSIDE = re.compile("[a-z][À-ÖØ-ÞĂĄĆČĎĐĘĚĞĹĽŁŃŇŐŒŔŘŚŞŠŤŮŰŸŹŻŽ]")
_SIGN_INSIDE = re.compile("[^\\W\\d_][¡¿«»°§„”“‚…•€®™·](?=[^\\W\\d_])")
_LATIN = re.compile("[a-zà-ɏ]")
_MIN_STRANGE = 0.2  # signs of a third language for each point of Hungarian or English
_MIN_LEAD = 2  # points of a third language before Hungarian and English
_MAX_CHARACTERS = 1000  # of a text that are looked at for a third language
_MAX_ASKED = 500  # texts that lingua names the language of: it takes a millisecond a text
_MIN_UNSURE = 0.005  # share of the texts from which on lingua is asked: it takes a second to load
_MIN_LETTERS = 20  # of a text that lingua is asked about
_LEAD_OF_LINGUA = 0.1


def _languages_of_words() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for language, words in {name: words for name, (words, _) in _THIRD.items()}.items():
        for word in words.split():
            found[word] = (*found.get(word, ()), language)
    return found


_HUNGARIAN_WORDS = frozenset(_HUNGARIAN.split())
_ENGLISH_WORDS = frozenset(_ENGLISH.split())
_THIRD_WORDS = _languages_of_words()
# Words of third languages that are also some word of Hungarian or English, or a letter.
_AMBIGUOUS = frozenset(
    (  # noqa: SIM905 - a list of words is easier to read as a text
        "a e i o u y s z w an as be but by de do est fel ha hat in is la le lo ma me mi ne no on or par sa sem si so "
        "som son te to ja jo van ve var men et en des un una om det era per ser tak tai"
    ).split()
)
_NEITHER_WORDS = frozenset(_THIRD_WORDS) - _HUNGARIAN_WORDS - _ENGLISH_WORDS - _AMBIGUOUS
_ONLY_HUNGARIAN_WORDS = frozenset(word for word in _HUNGARIAN_WORDS - _AMBIGUOUS - set(_THIRD_WORDS) if len(word) > 1)
_THIRD_LETTERS = {name: frozenset(letters) for name, (_, letters) in _THIRD.items()}


def identify(text: bytes | str) -> Language:
    """The language of most of a text."""
    lower = (text if isinstance(text, str) else text.decode("utf-8", "replace")).lower()
    words = _WORD.findall(lower)
    different = set(words)
    letters = [] if lower.isascii() else _BEYOND_ASCII.findall(lower)
    hungarian = sum(map(_HUNGARIAN_LETTERS.__contains__, letters))
    strange = len(letters) - hungarian + len(different & _NEITHER_WORDS)
    if different & _HUNGARIAN_WORDS:
        hungarian += sum(map(_HUNGARIAN_WORDS.__contains__, words))
    english = sum(map(_ENGLISH_WORDS.__contains__, words)) if different & _ENGLISH_WORDS else 0
    if strange >= _MIN_LEAD and strange >= _MIN_STRANGE * (hungarian + english):
        third = _third_language(lower[:_MAX_CHARACTERS], hungarian, english)
        if third is not None:
            return third
    if hungarian == english:
        return "other"
    return "hu" if hungarian > english else "en"


def may_be_third(text: str, but: Sequence[Language] = ()) -> bool:
    """Whether a third language has all letters beyond ASCII of a text, and the text has no word of Hungarian alone.

    Args:
        but: languages that it is not.
    """
    lower = text.lower().replace("\u0307", "")  # of a Turkish capital
    letters = {character for character in lower if not character.isascii() and character not in _SIGNS}
    if (
        _SIGN_INSIDE.search(lower)
        or _CAPITAL_INSIDE.search(text)
        or not any(letters <= own for name, own in _THIRD_LETTERS.items() if name not in but)
    ):
        return False
    return not any(word in _ONLY_HUNGARIAN_WORDS for word in _WORD.findall(lower))


def _third_language(lower: str, hungarian: int, english: int) -> Language | None:
    """The third language that has clearly more points than Hungarian and English, if there is one."""
    if not lower.isascii():
        latin = len(_LATIN.findall(lower))
        for name, script in _SCRIPTS:
            if len(script.findall(lower)) > latin:
                return name
    points: Counter[str] = Counter()
    for word in _WORD.findall(lower):
        for name in _THIRD_WORDS.get(word, ()):
            points[name] += 1
    if not lower.isascii():
        letters = Counter(letter for letter in lower if not letter.isascii() and letter.isalpha())
        for name, own in _THIRD_LETTERS.items():
            strange = sum(count for letter, count in letters.items() if letter not in own)
            points[name] += sum(count for letter, count in letters.items() if letter in own) - 2 * strange
        hungarian -= 2 * sum(count for letter, count in letters.items() if letter not in _HUNGARIAN_LETTERS)
    if not points:
        return None
    name, most = points.most_common(1)[0]
    return name if most >= max(hungarian, english) + _MIN_LEAD else None


def unsure_texts(texts: Sequence[bytes], found: Sequence[Language]) -> list[tuple[int, str]]:
    """The indices and beginnings of texts that `lingua` is asked about, given what the rule found."""
    unsure: list[tuple[int, str]] = []
    for index, language in enumerate(found):
        if language not in ("hu", "en") and len(unsure) < _MAX_ASKED:
            said = texts[index].decode("utf-8", "replace")[:_MAX_CHARACTERS]
            if sum(character.isalpha() for character in said) >= _MIN_LETTERS:
                unsure.append((index, said))
    return unsure


def name_by_lingua(found: list[Language], unsure: Sequence[tuple[int, str]]) -> None:
    """Put the languages that `lingua` names into `found`, if it is installed and enough texts are unsure."""
    unsure = unsure[:_MAX_ASKED]
    if len(unsure) > _MIN_UNSURE * len(found) and (detector := _lingua()):
        answers = detector.detect_languages_in_parallel_of([said for _, said in unsure])
        for (index, _), answer in zip(unsure, answers, strict=True):
            if answer is not None:
                found[index] = answer.iso_code_639_1.name.lower()


@cache
def _lingua() -> Any:
    """The detector of lingua, in its fast mode; None where it is not installed."""
    try:
        from lingua import IsoCode639_1, LanguageDetectorBuilder
    except ImportError:
        return None
    codes = [getattr(IsoCode639_1, name.upper()) for name in ("hu", "en", *_THIRD, *(name for name, _ in _SCRIPTS))]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
    return builder.with_low_accuracy_mode().with_minimum_relative_distance(_LEAD_OF_LINGUA).build()
