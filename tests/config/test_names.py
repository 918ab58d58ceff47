"""What other programs call a setting leads to what it is called here."""

import pytest

from lai.config.load import known_keys, target_keys
from lai.config.names import _HERE, nearest

GROUPS = ["model", "device", "data", "optimizer", "schedule", "trainer"]
VALID = [*known_keys(), *target_keys(), *GROUPS]


def test_every_translation_leads_to_a_key_that_exists():
    assert {key for key in _HERE.values() if not key.startswith("hydra.")} <= set(VALID)


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ("lr", "optimizer.lr"),
        ("n_layer", "model.n_layers"),
        ("block_size", "data.seq_len"),
        ("optimizer.momentun", "optimizer.momentum"),
        ("Data.Batch-Size", "data.batch_size"),
    ],
)
def test_the_nearest_key_comes_first(given, first):
    assert nearest(given, VALID)[0] == first


def test_nothing_is_near_to_an_unrelated_word():
    assert nearest("zzz_qqq", VALID) == []
