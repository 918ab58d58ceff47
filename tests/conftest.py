"""What many tests share: text, a vocabulary, and whole runs built from command-line overrides."""

import os
import runpy
import sys
from pathlib import Path

# Tests that run side by side share the CPU: each, and each program that it starts, computes on one core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from runs import TINY, composed, example_lines

from lai.tokenizer.train import learn_vocab
from lai.tokenizer.vocab import Vocab

# What SLURM, torchrun or MPI tell the tests' own process is not meant for the runs that they start.
for name in [*os.environ]:
    if name.startswith(("SLURM_", "TORCHELASTIC_", "OMPI_", "PMI_", "MV2_", "JSM_")):
        del os.environ[name]
for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"):
    os.environ.pop(name, None)

SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real text, where the machine has it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("there is no folder of real text (shared/data) beside the checkout")
    return folder


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(example_lines(290)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_vocab() -> Vocab:
    return learn_vocab((line.encode() for line in example_lines(300)), vocab_size=400, min_freq=1)


@pytest.fixture
def model_file(tmp_path: Path, small_vocab: Vocab) -> Path:
    """A model file of a toy network that is not trained."""
    import torch

    from lai.export.lai_file import write_model
    from lai.model.transformer import Transformer

    torch.manual_seed(0)
    config = _toy_config(small_vocab)
    write_model(tmp_path / "m.bin", config, Transformer(config).state_dict(), small_vocab)
    return tmp_path / "m.bin"


@pytest.fixture
def checkpoint(tmp_path: Path, small_vocab: Vocab):
    """A checkpoint as Lightning writes it, and the module that it is of."""
    import lightning
    import torch

    from lai.config.compose import compose_run
    from lai.model.module import LanguageModel

    run = compose_run(["model=nano"])
    byte_lengths = torch.from_numpy(small_vocab.byte_lengths.copy())
    module = LanguageModel(_toy_config(small_vocab), small_vocab.to_bytes(), byte_lengths, run.optimizer, run.schedule)
    trainer = lightning.Trainer(accelerator="cpu", logger=False, max_steps=0, enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "x.ckpt", weights_only=True)
    return tmp_path / "x.ckpt", module


def _toy_config(vocab: Vocab):
    from lai.model.transformer import ModelConfig

    return ModelConfig(
        dim=32, hidden_dim=64, n_layers=1, n_heads=2, n_kv_heads=2, vocab_size=len(vocab), max_seq_len=64
    )


@pytest.fixture
def compose_run(tmp_path: Path):
    """A run built as `lai-train` builds it: from the YAML files and overrides, its files under `tmp_path`.

    Its checkpoints keep the optimizer's state, so that a test can let a finished run train longer.
    """
    from lai.config.load import load_run_config
    from lai.run.follow import follow_initial

    def build(*overrides: str):
        return load_run_config(
            composed(
                f"output_dir={tmp_path / 'run'}",
                f"data.cache_dir={tmp_path / 'cache'}",
                f"export.path={tmp_path / 'model.bin'}",
                "checkpoint.keep=all",
                *TINY,
                *overrides,
            ),
            overrides,
            follow_initial,
        )

    return build


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a program, a script's path or a module's name, in this process; gives its status, output and error output."""

    def start(program, *arguments):
        capsys.readouterr()  # what fixtures have printed is not the program's
        monkeypatch.setattr(sys, "argv", [str(program), *map(str, arguments)])
        # A program ends Python at once where an earlier test of this process has imported datasets (cli.leave).
        monkeypatch.setattr(os, "_exit", sys.exit)
        with pytest.raises(SystemExit) as ended:
            if str(program).endswith(".py"):
                runpy.run_path(str(program), run_name="__main__")
            else:
                runpy.run_module(program, run_name="__main__", alter_sys=False)
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return start
