"""Writes the tables of cpp/text/folding.cpp: python cpp/text/make_folding_tables.py > cpp/text/folding_tables.hpp

The characters that are dropped or replaced come from lai/tokenizer/folding.py, those of NFC from Python's unicodedata.
"""

import sys
import unicodedata
from collections.abc import Iterable
from itertools import groupby

from lai.tokenizer.folding import INVISIBLE, REPLACED

_WIDTH = 120
_HANGUL = range(0xAC00, 0xAC00 + 11172)  # composed by a rule, not by a table


def tables() -> str:
    """The text of the header."""
    decompositions = _decompositions()
    # Those of two characters whose composition NFC keeps; the others are Unicode's composition exclusions.
    compositions = sorted(
        (parts[0], parts[1], composed)
        for composed, parts in decompositions.items()
        if len(parts) == 2 and unicodedata.normalize("NFC", chr(composed)) == chr(composed)
    )
    return "\n".join(
        [
            "// Written by cpp/text/make_folding_tables.py: do not edit.",
            "// clang-format off",
            f"// Unicode {unicodedata.unidata_version}.",
            "#pragma once",
            "",
            "#include <cstdint>",
            "",
            "namespace lai {",
            "",
            "struct CodePointRange {",
            "    char32_t first, last;",
            "};",
            "",
            "struct CodePointReplacement {",
            "    char32_t from, to;",
            "};",
            "",
            "struct CombiningClass {",
            "    char32_t first, last;",
            "    std::uint8_t value;",
            "};",
            "",
            "struct Decomposition {",
            "    char32_t composed, first, second;  // second is 0 where there is only one",
            "};",
            "",
            "struct Composition {",
            "    char32_t first, second, composed;",
            "};",
            "",
            "// All tables are sorted.",
            *_array("CodePointRange kInvisible", INVISIBLE),
            *_array("CodePointReplacement kReplaced", sorted((ord(old), ord(new)) for old, new in REPLACED.items())),
            *_array("CombiningClass kCombiningClasses", _combining_classes()),
            *_array(
                "Decomposition kDecompositions",
                (
                    (composed, parts[0], parts[1] if len(parts) == 2 else 0)
                    for composed, parts in decompositions.items()
                ),
            ),
            *_array("Composition kCompositions", compositions),
            "}  // namespace lai",
            "",
        ]
    )


def _decompositions() -> dict[int, list[int]]:
    """The canonical decomposition of each character that has one, not taken further apart."""
    found = {}
    for code in range(sys.maxunicode + 1):
        mapping = unicodedata.decomposition(chr(code))
        if mapping and not mapping.startswith("<") and code not in _HANGUL:
            found[code] = [int(part, 16) for part in mapping.split()]
    return found


def _combining_classes() -> list[tuple[int, int, int]]:
    """Ranges of code points with the same canonical combining class, but for class 0."""
    marked = [code for code in range(sys.maxunicode + 1) if unicodedata.combining(chr(code))]
    runs = groupby(enumerate(marked), lambda item: (item[1] - item[0], unicodedata.combining(chr(item[1]))))
    return [(codes[0], codes[-1], value) for (_, value), run in runs for codes in [[code for _, code in run]]]


def _array(declaration: str, rows: Iterable[tuple[int, ...]]) -> list[str]:
    lines, line = [f"constexpr {declaration}[] = {{"], "   "
    for row in rows:
        numbers = [f"0x{number:04X}" if number > 255 else str(number) for number in row]
        entry = f" {{{', '.join(numbers)}}},"
        if len(line + entry) > _WIDTH:
            lines.append(line)
            line = "   "
        line += entry
    return [*lines, line, "};", ""]


if __name__ == "__main__":
    sys.stdout.write(tables())
