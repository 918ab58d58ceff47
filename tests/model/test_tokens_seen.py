"""The count of tokens, before and after a resume."""

import torch

from lai.model.tokens_seen import TokensSeen


def test_batches_of_all_processes_are_counted() -> None:
    seen = TokensSeen()
    for count in (5, 7):
        seen.add(torch.tensor(count), processes=2)
    assert seen.total() == 24


def test_a_resumed_count_continues_the_checkpoints() -> None:
    seen = TokensSeen()
    seen.add(torch.tensor(5), processes=1)
    seen.resume_from(100)
    seen.add(torch.tensor(3), processes=1)
    assert seen.total() == 103


def test_a_count_after_an_unknown_one_stays_unknown() -> None:
    seen = TokensSeen()
    seen.resume_from(0)
    seen.add(torch.tensor(3), processes=1)
    assert seen.total() == 0
