"""Findings of damaged text: the cases of ../shared, and damage put into clean text."""

from pathlib import Path

import pytest

from lai.data.quality.findings import Finding
from lai.data.quality.report import examine
from lai.host.errors import UserError

CASES = Path(__file__).parents[4] / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there")


def findings(*paths: Path, **options: object) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(paths, **options).findings}  # type: ignore[arg-type]


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_text("".join(line + end for line in lines), encoding="utf-8", newline="")
    return path


@needs_cases
@pytest.mark.parametrize(
    ("name", "check", "first"),
    [
        ("latin1_mistaken.hu.txt", "õ and û for ő and ű", 2),
        ("entities.tsv", "HTML entities", 1),
        ("swapped.tsv", "swapped sides", 1),
        ("invisible.hu.txt", "invisible characters", 1),
        ("invisible.hu.txt", "unusual blanks", 1),
        ("chatml.txt", "other programs' markup", 1),
    ],
)
def test_the_shared_cases_are_found_with_place_and_remedy(name: str, check: str, first: int) -> None:
    found = findings(CASES / name)[check]
    assert found.verdict != "ok" and found.places[0] == f"{CASES / name}:{first}" and "lai-clean-data" in found.remedy


@needs_cases
def test_the_shared_latin_2_is_refused() -> None:
    with pytest.raises(UserError, match="ISO-8859-2; expected UTF-8: iconv"):
        examine([CASES / "latin2.hu.txt"])


@pytest.mark.parametrize(
    ("check", "line"),
    [
        ("õ and û for ő and ű", "Az õr a fûtõházban ült."),
        ("mojibake", "Az Å‘r a fÅ±tÅ‘hÃ¡zban Ã¼lt."),
        ("mojibake", "Itâ€™s here."),
        ("lost characters", "Az \ufffdr a f\ufffdt\ufffdházban ült."),
        ("NFD", "Az o\u030br ült."),
        ("invisible characters", "Az ud\u00advaron."),
        ("unusual blanks", "10\u00a0000"),
        ("HTML entities", "It&apos;s here."),
        ("other programs' markup", "Here.<|endoftext|>"),
        ("old Mac line ends", "One.\rTwo."),
        ("empty turns", "<user>Hi</user><assistant> </assistant>"),
    ],
)
def test_one_stray_line_is_told_and_does_not_fail_a_text(tmp_path: Path, check: str, line: str) -> None:
    clean = [f"Sentence number {number} of many, és ez őszi." for number in range(20000)]
    path = write(tmp_path / "a.txt", [*clean[:10], line, *clean[10:]])
    report = examine([path])
    told = {finding.check: finding for finding in report.findings if finding.verdict != "ok"}
    assert set(told) - {"near-duplicates"} == {check} and report.good
    assert told[check].places == [f"{path}:11"] and told[check].remedy
    many = write(tmp_path / "b.txt", [*clean, *(f"{line} {number}" for number in range(300))])
    if check not in ("unusual blanks", "empty turns"):
        assert findings(many)[check].verdict == "error"


def test_mojibake_beyond_repair_is_a_finding_of_its_own(tmp_path: Path) -> None:
    mixed = "VĂĄlasztott osztÄĂłly, megnyitÄ„s"  # read as Latin-2, then some letters as other ones
    found = findings(write(tmp_path / "a.txt", [mixed, "Az Å‘r Ã¼lt."]))
    assert found["mojibake"].found.startswith("2 of") and found["mojibake beyond repair"].found.startswith("1 of")
    assert found["mojibake beyond repair"].places == [f"{tmp_path / 'a.txt'}:1"]


def test_the_found_markup_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", ["<s> a </s>", "[INST] b [/INST] c", "<|im_start|>user", "x <eos>"])
    found = findings(path)["other programs' markup"].found
    assert all(name in found for name in ("<s> 1", "[INST] 1", "ChatML 1", "<eos> 1"))


PAIRS = [
    (f"The guard number {number} sat in the house.", f"Az őr, a {number}. számú, a házban ült.") for number in range(50)
]


@pytest.mark.parametrize(
    ("check", "pair"),
    [
        ("swapped sides", PAIRS[0][::-1]),
        ("sides in one language", ("The guard sat in the house.", "The woman ate the potatoes of the man.")),
        ("equal sides", ("The guard.", "The guard.")),
        ("sides out of proportion", ("The guard sat in the boiler house and read the newspaper of the day.", "Az őr.")),
        ("quoted fields", ('"The ""guard"" sat."', '"Az ""őr"" ült."')),
        ("empty sides", ("The guard.", " ")),
        ("columns", ("The guard.", "Az őr.\tCC-BY")),
    ],
)
def test_faults_of_pairs_are_found_at_their_line(tmp_path: Path, check: str, pair: tuple[str, str]) -> None:
    path = write(tmp_path / "a.tsv", ["\t".join(entry) for entry in (*PAIRS, pair)])
    found = findings(path)
    assert found[check].places == [f"{path}:51"] and found[check].verdict != "error"
    others = {"swapped sides", "sides in one language", "equal sides", "quoted fields", "columns"} - {check}
    assert all(not found[other].places for other in others)


def test_a_header_of_unknown_names_is_no_pair(tmp_path: Path) -> None:
    lines = ["\t".join(entry) for entry in PAIRS]
    assert findings(write(tmp_path / "a.tsv", ["Mondat\tFordítás", *lines]))["header line"].found == "1"
    assert findings(write(tmp_path / "b.tsv", lines))["header line"].found == "0"


def test_torn_stories_are_found_and_the_remedy_joins_them(tmp_path: Path) -> None:
    import subprocess

    from lai.data.sources.files import read_documents

    stories = [[f"Once upon a time there was a dog {n}.", "The dog slept.", "The end came."] for n in range(30)]
    path = write(tmp_path / "a.txt", [line for story in stories for line in (*story, "")])
    found = findings(path)["torn stories"]
    assert found.verdict == "warning" and "30 stories" in found.found
    command = found.remedy.partition(": ")[2].replace("NEW.txt", str(tmp_path / "new.txt"))
    subprocess.run(command, shell=True, check=True)
    assert [document[0].content.decode() for document in read_documents(tmp_path / "new.txt")] == [
        "\n".join(story) for story in stories
    ]
    assert findings(write(tmp_path / "b.txt", [story[0] for story in stories]))["torn stories"].verdict == "ok"


def test_a_third_language_counts_as_such(tmp_path: Path) -> None:
    german = [f"Der Hund {number} schläft und die Katze ist nicht im Garten." for number in range(30)]
    hungarian = [f"A kutya {number} alszik és a macska nincs a kertben." for number in range(70)]
    path = write(tmp_path / "a.txt", [*hungarian, *german])
    report = examine([path])
    assert report.facts["languages"]["de"] == pytest.approx(0.3, abs=0.05)
    found = {finding.check: finding for finding in report.findings}["third languages"]
    assert found.verdict == "warning" and found.places[0] == f"{path}:71" and "de " in found.found


def test_validation_text_in_training_is_counted_by_document(tmp_path: Path) -> None:
    pytest.importorskip("rensa")
    lines = [f"The guard {n} sat in the old house and read all the news of day {n * 7} again." for n in range(100)]
    other = [f"Nobody knows the {n} winds that blew through forest {n * 3} on that cold night." for n in range(40)]
    near = lines[7].replace("again", "twice")
    train = write(tmp_path / "a.txt", lines)
    val = write(tmp_path / "b.txt", [*other, lines[5], near])
    found = findings(train, val_files=[val])["validation text in training"]
    assert found.found.startswith("1 of 42 documents, ") and found.places[0] == f"{val}:41"
    assert f"{val}:42" in found.places
    assert findings(train, val_files=[write(tmp_path / "c.txt", other)])["validation text in training"].verdict == "ok"


def test_without_rensa_a_line_says_that_near_duplicates_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lai.data.quality.across.is_installed", lambda: False)
    found = findings(write(tmp_path / "a.txt", ["one", "two"]))["near-duplicates"]
    assert found.verdict == "ok" and "pip install 'lai[data]'" in found.found
