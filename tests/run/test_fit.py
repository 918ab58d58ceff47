"""Errors of training become one line."""

import errno
import pydoc

import pytest
import torch
from toy_callbacks import exported

from lai.host.errors import UserError
from lai.run.fit import within_memory
from lai.train import train


def test_running_out_of_memory_is_one_line() -> None:
    with pytest.raises(UserError, match=r"memory has run out; halve data\.batch_size"), within_memory():
        torch.empty(1 << 60)


@pytest.mark.parametrize("stage", ["lai.data.prepare.prepare_corpus", "lai.run.checkpoint_io.write_plain"])
def test_running_out_of_memory_is_one_line_at_each_stage(compose_run, text_file, monkeypatch, stage):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(stage, fails)
    with pytest.raises(UserError, match="memory has run out; "):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=2"))


@pytest.mark.parametrize(
    ("writer", "points"),
    [
        ("tensorboard.summary.writer.record_writer.RecordWriter.write", 140),
        ("lightning.fabric.loggers.csv_logs._ExperimentWriter.save", 30),
    ],
    ids=["TensorBoard", "metrics.csv"],
)
def test_a_full_disk_under_the_metrics_is_one_line_and_the_run_resumes(
    tmp_path, compose_run, text_file, monkeypatch, capfd, writer, points
):
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1", "trainer.max_epochs=2")
    expected = train(compose_run(*common, f"output_dir={tmp_path / 'whole'}"))
    weights = exported(tmp_path)
    left = iter(range(points))  # more than an epoch has
    module, _, name = writer.rpartition(".")
    written = getattr(pydoc.locate(module), name)

    def write(*arguments):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(writer, write)
        with pytest.raises(UserError, match=r"metrics in \S+ cannot be written: No space left on device; free space"):
            train(compose_run(*common))
    assert "Traceback" not in capfd.readouterr().err
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert train(compose_run(*common, f"ckpt_path={last}")) == expected
    found = exported(tmp_path)
    assert all(torch.equal(torch.as_tensor(found[name]), torch.as_tensor(weights[name])) for name in weights)
