"""What is no checkpoint of lai.train is refused in one line."""

import pytest
import torch

from lai.export.checkpoint import read_checkpoint
from lai.host.errors import UserError


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"hello"])
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.ckpt") as raised:
        read_checkpoint(tmp_path / "x.ckpt")
    assert "\n" not in str(raised.value)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(2)}}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"not a checkpoint of lai\.train"):
        read_checkpoint(tmp_path / "x.ckpt")
