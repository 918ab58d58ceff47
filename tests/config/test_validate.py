"""Rules across settings."""

import copy
import re

import pytest
from mistakes import OUTPUT, mistake
from runs import composed

from lai.config.load import load_run_config
from lai.config.schema import LORA_TARGETS
from lai.config.validate import check_rules


def test_a_batch_that_mps_computes_wrongly_is_refused():
    assert "32768" in mistake("device=mps", "data.batch_size=65")


def test_a_quantized_dtype_needs_widths_of_whole_blocks():
    line = mistake("export.dtype=q8_0", "model.dim=48", "model.n_heads=6", "model.hidden_dim=80")
    assert line.endswith("multiples of 32; they are 48 and 80")


def test_compiling_is_chosen_by_the_run_on_the_cpu_only():
    assert mistake("device=mps", "device.compile=auto").endswith("with device=mps it must be true or false")
    assert mistake("device=cpu", "device.compile=maybe").endswith("with device=cpu it must be true, false or auto")


def test_checking_changes_nothing():
    run = load_run_config(composed(OUTPUT))
    before = copy.deepcopy(run)
    check_rules(run)
    assert run == before


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.lora.rank=8"], "model.lora.rank is 8, but the run begins with random weights, .*: init_from=FILE"),
        (["model.lora.rank=-1"], "model.lora.rank is -1; it must be from 0 to "),
        (["model.lora.alpha=0"], "model.lora.alpha is 0.0; it must be more than 0"),
        (["model.lora.rank=129", "model=nano"], "model.lora.rank is 129; the matrices have at most rank 128"),
        (["model.lora.targets=[q,x]"], "model.lora.targets is 'x'; it must be one of q, k, v, o, gate, up, down"),
        (["model.lora.targets=[]"], "it must name at least one matrix, each once"),
        (["model.lora.targets=[q,q]"], "it must name at least one matrix, each once"),
        (["model.lora.rnk=8"], "there is no config key model.lora.rnk; did you mean model.lora.rank"),
    ],
)
def test_impossible_lora_is_one_line(overrides, words):
    assert re.search(words, mistake(*overrides))


def test_lora_goes_with_a_run_that_is_resumed():
    run = load_run_config(composed(OUTPUT, "model.lora.rank=8", "ckpt_path=last.ckpt"))
    assert (run.model.lora.rank, run.model.lora.alpha, run.model.lora.targets) == (8, 16.0, [*LORA_TARGETS])
