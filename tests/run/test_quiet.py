"""Warnings that tell a user nothing are hidden."""

from lai.run.build import build_trainer


def test_a_gpu_that_the_run_does_not_use_is_not_advertised(compose_run, text_file, monkeypatch, recwarn):
    monkeypatch.setattr("lightning.pytorch.accelerators.CUDAAccelerator.is_available", staticmethod(lambda: True))
    build_trainer(compose_run(f"data.path={text_file}"), [])
    assert not [warning for warning in recwarn if "GPU" in str(warning.message)]
