"""The engine's folding against Python's, on texts and on prompts."""

import json
import os
import runpy
import shutil
import struct
import subprocess
import unicodedata
from dataclasses import replace

import pytest
from engine_program import ROOT
from typed_texts import EVERY_CHARACTER, odd_texts

from lai.export.lai_file import write_model
from lai.inference.sampling import chat_prompt, translation_prompt
from lai.tokenizer.folding import fold_text

SENTENCE = "A kutya piros almát eszik."
FORMS = [
    SENTENCE,
    unicodedata.normalize("NFD", SENTENCE),
    SENTENCE.replace(" ", "\u00a0"),
    SENTENCE.replace(" ", " \u2009\t"),
    "\ufeff" + SENTENCE,
    SENTENCE.replace("alm", "al\u00adm\u200b"),
    f"\u200e\u202a{SENTENCE}\u202c",
    f" {SENTENCE}  ",
    f"{SENTENCE}\r\n",
]
BLANK = ["", " ", "\t\n", "\u00a0", "\ufeff", "\u200b\u00ad \u3000", "\r\n\u2028"]


@pytest.fixture(scope="module")
def fold_in_engine(tmp_path_factory):
    """Folds many texts with cpp/text/folding.cpp."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("the engine cannot be built: g++ is not installed")
    program = tmp_path_factory.mktemp("fold") / "fold"
    sources = [ROOT / "tests" / "cpp" / "text" / "fold_stream.cpp", ROOT / "cpp" / "text" / "folding.cpp"]
    command = [compiler, "-std=c++17", "-O1", f"-I{ROOT / 'cpp'}", *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True)

    def fold(texts):
        packed = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        output = subprocess.run([program], input=packed, capture_output=True, check=True, timeout=120).stdout
        folded, at = [], 0
        while at < len(output):
            (size,) = struct.unpack_from("<I", output, at)
            folded.append(output[at + 4 : at + 4 + size])
            at += 4 + size
        return folded

    return fold


def test_texts_are_folded_as_in_python(fold_in_engine):
    texts = odd_texts(10_000, seed=4)
    assert fold_in_engine(texts) == [fold_text(text) for text in texts]


def test_every_character_is_folded_as_in_python(fold_in_engine):
    for form in ("{}", "a{}\u0301\u0323", "\u1112{}\u11ab "):
        texts = [
            "\0".join(form.format(c) for c in EVERY_CHARACTER[at : at + 4096]).encode()
            for at in range(0, 0x2FFFF, 4096)
        ]
        assert fold_in_engine(texts) == [fold_text(text) for text in texts]


def test_long_texts_are_folded_in_time(fold_in_engine):
    # A quadratic step would take hours.
    texts = [text.encode() * 1_000_000 for text in ("\u0323\u0301", "a", " \n", "\u201c\u00ad", "가", "\u1100\u1161")]
    assert fold_in_engine(texts) == [fold_text(text) for text in texts]


def test_the_tables_are_those_that_the_script_writes():
    path = ROOT / "cpp" / "text" / "folding_tables.hpp"
    written = path.read_text(encoding="utf-8")
    if f"Unicode {unicodedata.unidata_version}.\n" not in written:
        pytest.skip(f"this Python has Unicode {unicodedata.unidata_version}, the tables another version")
    script = runpy.run_path(str(path.with_name("make_folding_tables.py")))
    assert written == script["tables"](), f"{path} is not up to date: run make_folding_tables.py"


def prompt_ids(engine, *arguments, stdin=b""):
    return engine.json(*arguments, "--tokens", "0", stdin=stdin)["prompt_ids"]


@pytest.mark.parametrize("form", FORMS)
def test_a_sentence_has_the_same_ids_in_every_form(engine, make_model, tmp_path, form):
    path, model = make_model()
    file = tmp_path / "prompt.txt"
    file.write_bytes(form.encode())
    expected = chat_prompt(model.vocab, SENTENCE.encode(), fold=False)
    assert chat_prompt(model.vocab, form.encode()) == expected
    assert prompt_ids(engine, "-m", path, "-p", form) == expected
    assert prompt_ids(engine, "-m", path, "-f", file) == expected
    assert prompt_ids(engine, "-m", path, stdin=form.encode()) == expected
    for option, to_english in (("-t", False), ("--to-en", True)):
        expected = translation_prompt(model.vocab, SENTENCE.encode(), to_english, fold=False)
        assert translation_prompt(model.vocab, form.encode(), to_english) == expected
        assert prompt_ids(engine, "-m", path, option, form) == expected


def test_the_forms_of_the_shared_cases_have_the_same_ids(engine, make_model):
    cases = ROOT.parent / "shared" / "cases" / "typed_forms.jsonl"
    if not cases.is_file():
        pytest.skip("there is no folder of cases (shared/cases) beside the checkout")
    path, model = make_model()
    for line in cases.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        expected = prompt_ids(engine, "-m", path, "--to-en", row["same_as"])
        assert prompt_ids(engine, "-m", path, "--to-en", row["text"]) == expected
        assert translation_prompt(model.vocab, row["text"].encode(), to_english=True) == expected


def test_line_ends_inside_a_prompt_file_stay(engine, make_model, tmp_path):
    path, model = make_model()
    file = tmp_path / "prompt.txt"
    expected = chat_prompt(model.vocab, b"one\ntwo\n\nthree", fold=False)
    for content in (b"one\r\ntwo\r\n\r\nthree\r\n", b"one\rtwo\r\rthree", b"one \ntwo\n\n three\n"):
        file.write_bytes(content)
        assert prompt_ids(engine, "-m", path, "-f", file) == expected


def test_raw_text_is_not_folded(engine, make_model, tmp_path):
    path, model = make_model()
    typed = " „a\u0301”\u00a0\r\nb "
    assert prompt_ids(engine, "-m", path, "--raw", "-p", typed) == [1, *model.vocab.encode(typed)]


@pytest.mark.parametrize("blank", BLANK)
def test_a_blank_prompt_is_refused(engine, make_model, tmp_path, blank):
    path, _ = make_model()
    file = tmp_path / "prompt.txt"
    file.write_bytes(blank.encode())
    for arguments in (["-p", blank], ["-t", blank], ["--to-en", blank], ["-f", file]):
        assert "the prompt is empty" in engine.error("-m", path, *arguments)
    assert "the prompt is empty" in engine.error("-m", path, stdin=blank.encode())


@pytest.mark.parametrize("dtype", ["f32", "q8_0"])
def test_prompts_are_not_folded_for_a_model_of_unfolded_text(engine, make_model, tmp_path, dtype):
    path, model = make_model(dtype)
    unfolded = tmp_path / "unfolded.bin"
    training = replace(model.training, unfolded=True)
    write_model(unfolded, model.config, model.weights, model.vocab, dtype, training)
    typed = " „a\u0301”\u00a0b "
    assert prompt_ids(engine, "-m", path, "-p", typed) == chat_prompt(model.vocab, b'"\xc3\xa1" b', fold=False)
    assert prompt_ids(engine, "-m", unfolded, "-p", typed) == chat_prompt(model.vocab, typed.encode(), fold=False)
    assert "the prompt is empty" in engine.error("-m", unfolded, "-p", "\u00a0")
    assert engine.json("-m", path, "--info")["folds_prompts"] is True
    assert engine.json("-m", unfolded, "--info")["folds_prompts"] is False
    assert b"text not folded (data.normalize=false)" in engine.output("-m", unfolded, "--info")
    assert b"not folded" not in engine.output("-m", path, "--info")
