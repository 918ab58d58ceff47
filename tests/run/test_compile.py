"""Which runs are compiled of themselves (`device.compile=auto`), and what of them."""

import logging
import re

import pytest
import torch
from processes import lai_train

from lai.export.checkpoint import read_checkpoint
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig, Transformer
from lai.run import compile as compiling
from lai.run.compile import choose_compiling
from lai.run.device import prepare_device
from lai.train import train

MANY = 10**15  # tokens
MODEL = ModelConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2, n_kv_heads=2, vocab_size=97, max_seq_len=40)


@pytest.fixture
def chosen(compose_run, monkeypatch):
    """What `device.compile` becomes for a run with these overrides."""

    def choose(*overrides: str, tokens: int = MANY, processes: int = 1, obstacle: str | None = None):
        monkeypatch.setattr(compiling, "_obstacle", lambda: obstacle)
        run = compose_run("device.compile=auto", *overrides)
        choose_compiling(run, ModelConfig.of(run.model, 400), tokens, processes)
        return run.device.compile

    return choose


def test_only_runs_of_about_ten_minutes_or_more_are_compiled(chosen, compose_run):
    run = compose_run()
    parameters, _ = ModelConfig.of(run.model, 400).parameter_counts()
    enough = 1e14 * torch.get_num_threads() / (6 * parameters)
    assert chosen("trainer.max_epochs=5", tokens=int(enough / 5 * 1.01)) is True
    assert chosen("trainer.max_epochs=5", tokens=int(enough / 5 * 0.99)) is False
    step = 4 * 64  # rows of a batch, tokens of a row
    for steps, expected in ((enough / step * 1.01, True), (enough / step * 0.99, False)):
        assert chosen("trainer.max_epochs=-1", f"trainer.max_steps={int(steps)}") is expected
        halved = (f"trainer.max_steps={int(steps / 2)}", "trainer.accumulate_grad_batches=2")
        assert chosen("trainer.max_epochs=-1", *halved) is expected


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["trainer.max_epochs=-1", "trainer.max_time=00:00:10:00"], True),
        (["trainer.max_epochs=-1", "trainer.max_time=00:00:09:00"], False),
        (["trainer.max_epochs=1"], True),
        (["trainer.max_epochs=1", "trainer.limit_train_batches=100"], False),
        (["trainer.max_epochs=1", "trainer.limit_train_batches=1e-12"], False),
        (["device.compile=false"], False),
    ],
)
def test_every_limit_of_a_run_decides_whether_it_is_compiled(chosen, overrides, expected):
    assert chosen(*overrides) is expected


def test_several_processes_are_not_compiled(chosen):
    assert chosen(processes=2) is False


def test_missing_compiler_does_not_stop_an_auto_run(chosen, caplog):
    caplog.set_level(logging.INFO)
    assert chosen(obstacle="no g++") is False
    assert "no g++" in caplog.text
    assert chosen("device.compile=true", "trainer.max_steps=1") is True  # which was refused before, if need be


@pytest.mark.parametrize("value", ["'maybe'", "'Auto'", "3", "1"])
def test_compile_must_be_true_false_or_auto(compose_run, value):
    with pytest.raises(UserError, match=rf"device\.compile is {value}; with device=cpu it must be true, false or auto"):
        compose_run(f"device.compile={value}")


def test_compile_is_auto_only_on_the_cpu(compose_run):
    with pytest.raises(UserError, match=r"device\.compile is 'auto'; with device=cuda it must be true or false"):
        compose_run("device=cuda", "device.compile=auto")


def test_only_training_with_whole_batches_is_compiled():
    compiled = []

    def backend(graph: torch.fx.GraphModule, _: list[torch.Tensor]):
        def run(*arguments: torch.Tensor):
            compiled.append(graph)
            return graph(*arguments)

        return run

    torch.manual_seed(0)
    network = Transformer(MODEL)
    network.compile_around_attention(3, backend=backend)

    def pieces(rows: int) -> int:
        """Of the network that ran compiled, for a batch of so many rows."""
        compiled.clear()
        tokens, targets = torch.randint(97, (2, rows, 20))
        network(tokens, torch.zeros_like(tokens), targets=targets)
        return len(compiled)

    assert pieces(3) == 2 * MODEL.n_layers + 1
    assert pieces(2) == 0
    with torch.no_grad():
        assert pieces(3) == 0


@pytest.mark.heavy
def test_a_compiled_run_learns_the_same(tmp_path, compose_run, text_file, caplog):
    caplog.set_level(logging.INFO)
    common = (f"data.path={text_file}", "trainer.max_epochs=2", "trainer.precision=32-true")
    plain = train(compose_run(*common, "device.compile=false", f"output_dir={tmp_path / 'plain'}"))
    compiled = compose_run(*common, "device.compile=true")
    try:
        prepare_device(compiled)
    except UserError as error:
        pytest.skip(str(error))
    assert ", compiled" not in caplog.text
    assert train(compiled) == pytest.approx(plain, rel=1e-4)
    assert "precision 32-true, compiled" in caplog.text
    names = [read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt").weights.keys() for name in ("plain", "run")]
    assert names[0] == names[1]


def test_compiling_without_a_compiler_is_refused_before_any_work(tmp_path):
    nothing = {"CXX": str(tmp_path / "no-compiler"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")}
    done = lai_train("trainer.accelerator=cpu", "device.compile=true", cwd=tmp_path, **nothing)
    assert done.returncode == 2
    assert re.fullmatch(r"error: device\.compile=true, but .*no-compiler.*device\.compile=false\n", done.stderr), done
