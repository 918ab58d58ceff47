"""Exports get their names only after they were read back and agreed; earlier ones are kept."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from lai.export import formats
from lai.export.formats import check_format, export_other, path_beside
from lai.export.huggingface import write_huggingface
from lai.export.packages import installed
from lai.export.safetensors_file import read_safetensors, write_safetensors
from lai.export.tensor_names import huggingface_name
from lai.host.errors import UserError

GGUF = pytest.param("gguf", marks=pytest.mark.skipif(not installed("gguf"), reason="gguf is not installed"))


@pytest.fixture
def without_peers(monkeypatch):
    monkeypatch.setattr(formats, "ask", lambda *_: None)


@pytest.mark.parametrize(("name", "dtype"), [("hf", "f32"), ("hf", "f16"), ("hf", "bf16")])
def test_without_transformers_our_own_reader_reads_a_folder_back(tmp_path, model, without_peers, name, dtype):
    report = export_other(name, tmp_path / "m.hf", model, dtype)
    assert "read back by LAi's own reader: the same ids" in str(report)
    assert report.difference < 1e-6 and report.kept is None
    assert [file.name for file in tmp_path.iterdir() if not file.name.endswith(".lock")] == ["m.hf"]


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0", "q4_0"])
@pytest.mark.parametrize("name", [GGUF])
def test_without_llama_cpp_our_own_reader_reads_a_gguf_file_back(tmp_path, model, without_peers, name, dtype):
    report = export_other(name, tmp_path / "m.gguf", model, dtype)
    assert "read back by LAi's own reader" in str(report) and report.difference < 1e-6


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0", "q4_0"])
@pytest.mark.parametrize("name", [GGUF])
def test_llama_cpp_reads_a_gguf_file_back_where_it_is_installed(tmp_path, model, name, dtype):
    pytest.importorskip("xllamacpp", reason="llama.cpp is asked through xllamacpp, which is not installed")
    assert "read back by llama.cpp (xllamacpp " in str(export_other(name, tmp_path / "m.gguf", model, dtype))


def test_transformers_reads_a_folder_back_where_it_is_installed(tmp_path, model):
    pytest.importorskip("transformers", reason="it reads the folders back, and is not installed")
    report = export_other("hf", tmp_path / "m.hf", model)
    assert "read back by transformers " in str(report) and report.difference < 1e-5


def change_weights(folder):
    tensors, metadata = read_safetensors(folder / "model.safetensors")
    tensors[huggingface_name("layers.0.attn.wq.weight")].mul_(1.5)
    write_safetensors(folder / "model.safetensors", tensors, metadata)


def change_merges(folder):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["model"]["merges"].reverse()
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"), [(change_weights, "computes other logits"), (change_merges, "reads other ids")]
)
def test_a_folder_that_does_not_agree_gets_no_name(tmp_path, model, monkeypatch, without_peers, change, words):
    def write(folder, *arguments):
        write_huggingface(folder, *arguments)
        change(folder)

    monkeypatch.setitem(formats._FORMATS, "hf", replace(formats._FORMATS["hf"], write=write))
    with pytest.raises(UserError, match=f"m.hf is not written: LAi's own reader {words}"):
        export_other("hf", tmp_path / "m.hf", model)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_folder_with_other_files_is_kept(tmp_path, model, without_peers):
    path = tmp_path / "m.hf"
    assert export_other("hf", path, model).kept is None
    assert export_other("hf", path, model).kept is None
    earlier = (path / "model.safetensors").read_bytes()
    other = model._replace(weights={name: weight * 1.1 for name, weight in model.weights.items()})
    report = export_other("hf", path, other)
    assert report.kept == tmp_path / "m.1.hf"
    assert (tmp_path / "m.1.hf" / "model.safetensors").read_bytes() == earlier
    assert report.kept_line() == f"the earlier m.hf is kept as {tmp_path / 'm.1.hf'}"


@pytest.mark.parametrize("name", ["gguf", "hf"])
def test_an_earlier_export_that_differs_in_its_manifest_alone_is_replaced(
    tmp_path, model, manifest, without_peers, name
):
    if name == "gguf":
        pytest.importorskip("gguf", reason="the package gguf writes GGUF files; it is not installed")
    path = tmp_path / f"m.{name}"
    export_other(name, path, model._replace(manifest=manifest))
    report = export_other(name, path, model._replace(manifest=manifest | {"duration_s": 1.0}))
    assert report.kept is None
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == [path.name]


def test_something_else_of_the_name_is_not_replaced(tmp_path, model, without_peers):
    (tmp_path / "m.hf").mkdir()
    (tmp_path / "m.hf" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is no Hugging Face folder, and would be lost"):
        export_other("hf", tmp_path / "m.hf", model)
    shutil.rmtree(tmp_path / "m.hf")
    (tmp_path / "m.hf").write_text("mine")
    with pytest.raises(UserError, match="is no Hugging Face folder, and would be lost"):
        export_other("hf", tmp_path / "m.hf", model)


def test_weights_that_are_not_finite_are_not_written(tmp_path, model, without_peers):
    weights = model.weights | {"final_norm.weight": torch.full_like(model.weights["final_norm.weight"], torch.nan)}
    with pytest.raises(UserError, match="holds a value that is not finite"):
        export_other("hf", tmp_path / "m.hf", model._replace(weights=weights))
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_one_line():
    with pytest.raises(UserError, match=r"a model file holds no bf16; .* --format gguf or hf holds bf16"):
        check_format("lai", "silu", "bf16")


def test_exports_of_a_run_have_the_stem_of_its_model_file(tmp_path):
    assert path_beside("gguf", tmp_path / "lai-nano.bin") == tmp_path / "lai-nano.gguf"
    assert path_beside("hf", tmp_path / "lai-nano.bin") == tmp_path / "lai-nano.hf"
