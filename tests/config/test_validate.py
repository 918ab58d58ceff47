"""Rules across settings."""

import copy

from mistakes import OUTPUT, mistake
from runs import composed

from lai.config.load import load_run_config
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
