"""Checkpoints by the version of their format: an older one is read, a newer one refused."""

import pytest
from toy_checkpoints import edited, make_unversioned

from lai.export.checkpoint import read_checkpoint, run_of
from lai.host.errors import UserError
from lai.model.record import CHECKPOINT_VERSION


def test_a_checkpoint_has_a_version_and_the_name_of_its_run(checkpoint):
    path, module = checkpoint
    assert read_checkpoint(path).run == run_of(path) == module.run_id
    assert len(module.run_id) == 32


def test_one_of_before_there_were_versions_is_read(checkpoint, tmp_path):
    def make_old(content):
        make_unversioned(content)
        content["of a callback"] = [1]

    path = edited(checkpoint[0], make_old, tmp_path / "old.ckpt")
    old, new = read_checkpoint(path), read_checkpoint(checkpoint[0])
    assert old.run == run_of(path) == ""
    assert (old.config, old.vocab.to_bytes()) == (new.config, new.vocab.to_bytes())
    assert all(bool((old.weights[name] == weight).all()) for name, weight in new.weights.items())


def test_one_of_a_newer_version_is_refused(checkpoint, tmp_path):
    newer = CHECKPOINT_VERSION + 1
    path = edited(checkpoint[0], lambda content: content["lai"].update(version=newer, news=1), tmp_path / "new.ckpt")
    with pytest.raises(UserError, match=rf"new\.ckpt .*format version is {newer}.*reads 0 to.*update LAi"):
        read_checkpoint(path)
    assert run_of(path) is None


def test_entries_of_callbacks_are_listed_and_no_others_are_read(checkpoint, tmp_path):
    def add(content, listed):
        content["mine"] = [1]
        content["lai"]["entries_of_callbacks"] = ["mine"] if listed else []

    assert read_checkpoint(edited(checkpoint[0], lambda content: add(content, True), tmp_path / "mine.ckpt")).run
    with pytest.raises(UserError, match="'mine' is unknown"):
        read_checkpoint(edited(checkpoint[0], lambda content: add(content, False), tmp_path / "not.ckpt"))
