"""A run whose figures are kept: they change with the recipe, the data or the arithmetic, on purpose or not.

After a change on purpose, `PYTHONPATH=.:tests python tests/e2e/test_golden_run.py` writes the new figures.

Only the order of sums differs between CPUs. Measured on one with AVX-512: without vector instructions
(`ATEN_CPU_CAPABILITY=default`), with MKL's compatible products (`MKL_CBWR=COMPATIBLE`) and with two threads, losses
differ by 5e-7 at most and norms of gradients by 2e-5. The tolerances are fifty times as large.
"""

import json
import tempfile
from pathlib import Path

import pytest
import torch
from runs import composed, example_lines, rows_of

from lai.config.load import load_run_config
from lai.train import train

STEPS = 20
FIGURES = Path(__file__).with_name("golden_run.json")
TOLERANCES = {"train/loss": 5e-5, "train/grad_norm": 1e-3, "val/loss": 5e-5, "val/bpb": 5e-5, "tokens": 0.0}  # relative


def golden_run(folder: Path) -> dict[str, list[float]]:
    """Train `nano` for 20 steps in float32 on one thread; gives each metric's values."""
    (folder / "text.txt").write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")
    overrides = (
        f"output_dir={folder / 'run'}",
        f"data.cache_dir={folder / 'cache'}",
        f"export.path={folder / 'model.bin'}",
        f"data.path={folder / 'text.txt'}",
        "model=nano",
        "device=cpu",
        "trainer.precision=32-true",
        "device.compile=false",
        "device.threads=1",
        "data.vocab_size=400",
        "data.batch_size=4",
        "data.seq_len=64",
        "trainer.log_every_n_steps=1",
        f"trainer.max_steps={STEPS}",
    )
    threads = torch.get_num_threads()
    try:
        train(load_run_config(composed(*overrides)))
    finally:
        torch.set_num_threads(threads)
    found = {name: [value for _, value in rows_of(folder / "run", name)] for name in TOLERANCES if name != "tokens"}
    last = torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    return found | {"tokens": [last["lai"]["training"]["tokens"]]}


def test_a_run_of_nano_has_the_figures_that_are_kept(tmp_path):
    kept, found = json.loads(FIGURES.read_text()), golden_run(tmp_path)
    assert len(kept["train/loss"]) == STEPS
    for name, tolerance in TOLERANCES.items():
        assert found[name] == pytest.approx(kept[name], rel=tolerance), name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        figures = golden_run(Path(name))
    rows = [f'  "{name}": {[round(value, 6) for value in values]}' for name, values in figures.items()]
    FIGURES.write_text("{\n" + ",\n".join(rows) + "\n}\n")
