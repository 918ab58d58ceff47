"""Sentences of Tatoeba and Anki, whose columns are chosen by what they hold."""

import pytest

ENGLISH, HUNGARIAN = 'The dog is "in" the yard.', "A kutya az udvaron van."
ATTRIBUTION = "CC-BY 2.0 (France) Attribution: tatoeba.org #1 (CM) & #2 (x)"


@pytest.mark.parametrize("name", ["hun_sentences.tsv", "sentences.csv", "SENTENCES.TSV"])
@pytest.mark.parametrize("others", ["", "\tCK\t\\N\t2010-05-01 10:00:00"])
def test_sentences_of_tatoeba_are_chosen_by_language(read, counts, name: str, others: str) -> None:
    lines = [f"1276\teng\t{ENGLISH}{others}", f"2\thun\t{HUNGARIAN}{others}", f"3\tfra\tBonjour{others}"]
    lines.append(f"4\t\\N\tx{others}")
    assert read(name, "\n".join(lines)) == [(1, ENGLISH), (2, HUNGARIAN)]
    assert counts.skipped == 2


@pytest.mark.parametrize(
    "line",
    [
        "1\t{en}\t2\t{hu}",
        "\ufeff1\t{hu}\t2\t{en}",
        "{en}\t{hu}\t" + ATTRIBUTION,
        "{hu}\t{en}\t" + ATTRIBUTION,
        "{en}\t{hu}\tsomebody",
        "eng\thun\t{en}\t{hu}",
        "1.05\t{hu}\t{en}",
        "https://a.b/c\thttps://a.b/d\t{en}\t{hu}\t0.9",
    ],
)
def test_the_columns_of_pairs_are_chosen_by_language(read, pairs, line: str) -> None:
    rows = [(ENGLISH, HUNGARIAN), ("Water.", "Víz."), ("Go.", "Menj.")]
    data = "\n".join(
        line.format(en=english, hu=hungarian).lstrip("\ufeff" if n else "")
        for n, (english, hungarian) in enumerate(rows)
    )
    assert read("a.tsv", data) == pairs(*((n, *row) for n, row in enumerate(rows, start=1)))


def test_a_text_file_of_anki_is_recognized(read, pairs, counts) -> None:
    data = f"Go.\tMenj.\t{ATTRIBUTION}\n{ENGLISH}\t{HUNGARIAN}\t{ATTRIBUTION}\n"
    assert read("hun.txt", data) == pairs((1, "Go.", "Menj."), (2, ENGLISH, HUNGARIAN))
    assert read("hun.txt", "Go.\tMenj.\tx\n") == [(1, "Go.\tMenj.\tx")]


def test_pairs_of_two_columns_are_read_as_they_stand(read, pairs, counts) -> None:
    assert read("a.tsv", f"{HUNGARIAN}\t{ENGLISH}\na\tb\tc\n") == pairs((1, HUNGARIAN, ENGLISH))
    assert counts.skipped == 1
