"""CSV and TSV tables with a header."""

import gzip
from pathlib import Path

import pytest

from lai.host.errors import UserError

CASES = Path(__file__).resolve().parents[5] / "shared" / "cases"
ENGLISH, HUNGARIAN = "The dog is in the yard.", "A kutya az udvaron van, őszül."


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", 'en,hu\n"a ""b"", c","d\ne"\nf,g\n'),
        ("a.CSV", '\ufeffEnglish;Hungarian\r\n"a ""b"", c";"d\ne"\r\n\r\nf;g\r\n'),
        ("a.csv", 'id|HU|note|En\n1|"d\ne"||"a ""b"", c"\n2|g|x|f\n'),
        ("a.csv", 'sep=;\nen;hu\n"a ""b"", c";"d\ne"\nf;g\n'),
        ("a.csv", 'en, hu\n"a ""b"", c", "d\ne"\n"f", "g"\n'),
        ("a.tsv", '"en"\t"hu"\n"a ""b"", c"\t"d\ne"\nf\tg\n'),
        ("a.csv", '\n\nen\thu\n"a ""b"", c"\t"d\ne"\nf\tg'),
    ],
)
def test_columns_are_found_by_name_and_quotes_are_taken_off(read, pairs, name: str, data: str) -> None:
    expected = pairs((0, 'a "b", c', "d\ne"), (0, "f", "g"))
    assert [text for _, text in read(name, data)] == [text for _, text in expected]


def test_packed_tables_are_read(read, pairs) -> None:
    assert read("a.csv.gz", gzip.compress(b"en,hu\na,b\n")) == pairs((2, "a", "b"))


def test_marks_that_open_no_field_stay_in_a_table_with_tabs(read, pairs) -> None:
    data = 'en\thu\n"Go," he said.\t"Menj" - mondta.\na\tb\n'
    assert read("a.tsv", data) == pairs((2, '"Go," he said.', '"Menj" - mondta.'), (3, "a", "b"))


def test_source_and_target_are_told_apart_by_their_languages(read, pairs) -> None:
    expected = pairs((2, ENGLISH, HUNGARIAN))
    assert read("a.csv", f'source,target\n"{HUNGARIAN}","{ENGLISH}"\n') == expected
    assert read("a.csv", f'source,target\n"{ENGLISH}","{HUNGARIAN}"\n') == expected
    assert read("a.csv", "source,target\nx,y\n") == pairs((2, "x", "y"))


def test_a_table_without_a_header_is_pairs_if_both_languages_show(read, pairs) -> None:
    expected = pairs((1, ENGLISH, HUNGARIAN), (2, "Water.", "Víz."))
    assert read("a.csv", f'"{HUNGARIAN}";"{ENGLISH}"\nVíz.;Water.\n') == expected
    with pytest.raises(UserError, match=r"a\.csv:1: found the columns 'x', 'y'; expected a header with text.*data\.c"):
        read("a.csv", "x,y\n1,2\n")


def test_other_shapes_are_read_by_their_columns(read) -> None:
    expected = [(2, "<user>Do.</user><assistant>x</assistant>"), (3, "<user>Do.\nit</user><assistant>y</assistant>")]
    assert read("a.csv", "instruction,input,output\nDo.,,x\nDo.,it,y\n") == expected
    assert read("a.csv", 'Text\n"one, two"\nthree\n') == [(2, "one, two"), (3, "three")]


def test_columns_are_mapped_by_name_or_number(read, pairs) -> None:
    assert read("a.csv", "First;b\nx;y\n", columns={"en": "b", "hu": "First"}) == pairs((2, "y", "x"))
    assert read("a.csv", "x,y\nz,w\n", columns={"en": "2", "hu": "1"}) == pairs((1, "y", "x"), (2, "w", "z"))
    assert read("a.tsv", "q\ta\n1\t2\n", template="<user>{q}</user><assistant>{a}</assistant>") == [
        (2, "<user>1</user><assistant>2</assistant>")
    ]
    with pytest.raises(UserError, match=r"a\.csv:1: found 'x,y'; expected a header with b, c"):
        read("a.csv", "x,y\n", columns={"en": "b", "hu": "c"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,b,c", "found 3 columns, expected 2: en, hu"),
        ("a", "found 1 column, expected 2: en, hu"),
        ('"a"b,c', "not CSV"),
        ('a,"b', "not CSV"),
    ],
)
def test_a_faulty_line_is_an_error_or_left_out_alone(read, counts, line: str, message: str) -> None:
    data = f"en,hu\n1,2\n{line}\n3,4\n5,6,\n"
    with pytest.raises(UserError, match=rf"a\.csv:3: {message}"):
        read("a.csv", data)
    assert [number for number, _ in read("a.csv", data, bad_rows="skip")] == [2, 2, 4, 4, 5, 5]
    assert counts.bad_rows == 1
    assert "a.csv:3 (" in counts.bad_places[0]


@pytest.mark.skipif(not CASES.exists(), reason="shared/cases is not beside the checkout")
def test_the_shared_case_is_read_without_its_quotes(read) -> None:
    documents = read("a.csv", (CASES / "pairs.csv").read_bytes())
    assert len(documents) == 20
    assert documents[0] == (
        2,
        '<user>Translate to Hungarian: The dog sleeps in the yard. He said "yes".</user>'
        '<assistant>A kutya az udvaron alszik. Azt mondta: "igen".</assistant>',
    )


def test_most_lines_decide_what_stands_between_fields(read, pairs, counts) -> None:
    data = "one, two, three; egy, kettő\nodd\nfour, five; négy, öt, hat\nsix; hat\n"
    expected = pairs((1, "one, two, three", " egy, kettő"), (3, "four, five", " négy, öt, hat"), (4, "six", " hat"))
    assert read("a.csv", data, columns={"en": "1", "hu": "2"}, bad_rows="skip") == expected
    assert counts.bad_rows == 1


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_utf_16_of_a_spreadsheet_is_an_error_with_the_command_that_converts_it(read, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} is UTF-16; expected UTF-8: iconv -f UTF-16 -t UTF-8 "):
        read(name, "\ufeffen\thu\r\ndog\tkutya\r\n".encode("utf-16-le"))
