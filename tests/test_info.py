"""lai.info, on every kind of file that LAi writes and on others."""

import os
from pathlib import Path

import pytest

from lai import info
from lai.data.tokens.build import prepare_token_files
from lai.host.errors import UserError
from lai.train import train


def test_info_describes_every_kind_of_file(run, tmp_path, model_file, checkpoint, small_vocab, text_file):
    small_vocab.save(tmp_path / "vocab.bin")
    shards = prepare_token_files(text_file, small_vocab, tmp_path / "cache", val_fraction=0.1, split_seed=0)
    parameters = sum(value.numel() for value in checkpoint[1].model.parameters())
    for path, words in (
        (model_file, f"{parameters:,} ("),
        (checkpoint[0], f"{parameters:,} ("),
        (tmp_path / "vocab.bin", f"{len(small_vocab):,} tokens"),
        (shards.folder, small_vocab.fingerprint),
    ):
        status, output, _ = run("lai.info", path)
        assert status == 0
        assert words in output, path


@pytest.mark.parametrize("content", [b"", b"PK", b"LAi1", b"VIAL", b"hello"])
def test_info_refuses_any_other_file(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(UserError, match="f") as raised:
        info.describe(tmp_path / "f")
    assert "\n" not in str(raised.value)


def test_info_refuses_what_is_no_regular_file_and_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: it is a named pipe; expected a regular file"):
        info.describe(tmp_path / "pipe")
    with pytest.raises(UserError, match="it is a device; expected a regular file"):
        info.describe(Path(os.devnull))


@pytest.mark.parametrize("content", ["[]", "3", "[" * 100_000])
def test_a_folder_whose_record_is_no_object_is_refused(tmp_path, content):
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(UserError, match=r"it has no readable meta\.json"):
        info.describe(tmp_path)


def test_a_run_s_folder_and_its_model_tell_what_the_run_recorded(run, tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=2"))
    for path in (tmp_path / "run", tmp_path / "run" / "run.json", tmp_path / "model.bin"):
        status, output, _ = run("lai.info", path)
        assert status == 0
        assert "data.1.name" in output
        assert text_file.name in output
    assert "none: the file is of an earlier version" not in output
