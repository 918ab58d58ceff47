"""What is legitimate in a recognized format is no finding; text to validate with is read in any format."""

import json
from pathlib import Path

import pyarrow
import pytest

from lai.data.quality.across import near_duplicates
from lai.data.quality.counting import Sample
from lai.data.quality.findings import Finding
from lai.data.quality.near import is_installed
from lai.data.quality.report import examine
from lai.data.sources.reading import Reading

PAIRS = [
    (f"The {number} old houses stand by the river.", f"A {number} régi ház a folyó mellett áll.")
    for number in range(200)
]
DAMAGE = ("other programs' markup", "torn stories", "quoted fields", "HTML entities", "old Mac line ends")


def findings(*paths: Path, val: tuple[Path, ...] = (), reading: Reading | None = None) -> dict[str, Finding]:
    report = examine(paths, val_files=val, reading=reading or Reading())
    return {finding.check: finding for finding in report.findings}


def write(path: Path, text: str) -> Path:
    content = text.encode()
    if path.suffix == ".zst":
        with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
            file.write(content)
    else:
        path.write_bytes(content)
    return path


STORIES = "\n<|endoftext|>\n".join(f"{english}\n\nThen they went home.\n\nThe end." for english, _ in PAIRS)
TABLES = {
    "a.csv": "en,hu,source\n" + "".join(f'"{english}","{hungarian}",CC-BY\n' for english, hungarian in PAIRS),
    "a.tsv": "English\tHungarian\tlicense\n"
    + "".join(f"{english}\t{hungarian}\tCC-BY\n" for english, hungarian in PAIRS),
    "wide.tsv": "".join(f"{n}\t{english}\t{n}\t{hungarian}\n" for n, (english, hungarian) in enumerate(PAIRS)),
    "a.tmx": '<?xml version="1.0"?><tmx version="1.4"><header srclang="en"/><body>'
    + "".join(
        f'<tu><tuv xml:lang="en"><seg>{english} &amp; so on</seg></tuv>'
        f'<tuv xml:lang="hu"><seg>{hungarian} &amp; így tovább</seg></tuv></tu>'
        for english, hungarian in PAIRS
    )
    + "</body></tmx>",
}


@pytest.mark.parametrize("name", ["a.txt", "a.txt.zst"])
def test_the_separator_of_tinystories_is_no_markup_of_others(tmp_path: Path, name: str) -> None:
    found = findings(write(tmp_path / name, STORIES))
    assert {check: found[check].found for check in DAMAGE if check in found} == {
        check: "0" for check in DAMAGE if check != "quoted fields"
    }


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_known_columns_have_no_damage(tmp_path: Path, name: str) -> None:
    found = findings(write(tmp_path / name, TABLES[name]))
    assert found["quoted fields"].found == "0"  # there are pairs
    assert all(found[check].found == "0" for check in DAMAGE)
    assert not {"header line", "columns", "empty sides"} & found.keys()


def test_validation_pairs_are_found_in_training_text_of_another_format(tmp_path: Path) -> None:
    train = write(tmp_path / "train.tsv", "".join(f"{english}\t{hungarian}\n" for english, hungarian in PAIRS))
    rows = "".join(f'"{english}","{hungarian}"\n' for english, hungarian in PAIRS[:10])
    val = write(tmp_path / "val.csv", "left,right\n" + rows)
    reading = Reading(columns={"en": "left", "hu": "right"})
    [english, hungarian] = PAIRS[0]
    train_as_mapped = write(tmp_path / "train.csv", f'left,right\n"{english}","{hungarian}"\n')
    assert findings(train, val=(write(tmp_path / "v.csv", f"en,hu\n{rows}"),))[
        "validation text in training"
    ].found.startswith("20 of 20 documents")
    found = findings(train_as_mapped, val=(val,), reading=reading)["validation text in training"]
    assert found.found.startswith("2 of 20 documents")
    assert found.places[0] == f"{val}:2"


def test_validation_text_in_another_form_is_the_same_text(tmp_path: Path) -> None:
    lines = [f"A {number} éves ház „szép” volt." for number in range(50)]
    train = write(tmp_path / "train.jsonl", "".join(json.dumps({"text": line}) + "\n" for line in lines))
    typed = [
        line.replace(" ", "\u00a0", 1).replace("é", "e\u0301").replace("„", '"').replace("”", '"') for line in lines
    ]
    val = write(tmp_path / "val.txt", "".join(f"{line}\n" for line in typed[:5]))
    found = findings(train, val=(val,))["validation text in training"]
    assert found.found.startswith("5 of 5 documents") and found.verdict == "error"
    assert found.places[0] == f"{val}:1"


def test_validation_stories_are_named_by_their_first_line(tmp_path: Path) -> None:
    train = write(tmp_path / "train.txt", STORIES)
    val = write(tmp_path / "val.txt", "Something else.\n<|endoftext|>\n" + STORIES.split("\n<|endoftext|>\n")[7])
    found = findings(train, val=(val,))["validation text in training"]
    assert found.found.startswith("1 of 2 documents")
    assert found.places == [f"{val}:3"]


@pytest.mark.skipif(not is_installed(), reason="rensa is not installed")
def test_a_sample_is_named_where_not_all_documents_are_compared() -> None:
    sample = Sample()
    texts = [f"{number} " + "word " * 4000 for number in range(1000)]
    for number, text in enumerate(texts):
        sample.documents.append((number, text.encode()))
    assert near_duplicates(sample, str).found.endswith("different documents, looked for in one of 3 documents")
