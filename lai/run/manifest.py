"""run.json: what a run was started with, where its data and code come from, and what came out."""

import os
import platform
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.core.hydra_config import HydraConfig

import lai
from lai.callbacks.export import ExportModel
from lai.config.schema import RunConfig
from lai.data.origins import origins
from lai.data.prepare import Corpus
from lai.host.cli import typed_arguments
from lai.host.cpu import cpu_name
from lai.host.errors import Interrupted, UserError, first_line
from lai.host.files import atomic_write
from lai.model.lora import trained
from lai.model.manifest import NAME, Content, Manifest, to_json
from lai.model.module import LanguageModel

_PACKAGES = ("torch", "lightning", "numpy", "hydra-core", "omegaconf", "sentencepiece", "tensorboard")


def facts(
    run: RunConfig, corpus: Corpus, module: LanguageModel, trainer: lightning.Trainer, parent: Content | None = None
) -> Content:
    """What is known of a run before its first step; docs/runs.md has the keys."""
    splits, digests = corpus.token_files.stats, corpus.token_files.digests
    total, inner = module.config.parameter_counts()
    lora = {} if module.lora is None else {"lora": asdict(module.lora) | {"parameters": trained(module.model)[0]}}
    return {
        "command": _command(),
        "overrides": _overrides(),
        "commit": commit(Path(lai.__file__).parent),
        "versions": _versions(),
        "machine": _machine(trainer),
        "seed": run.seed,
        "model": {"name": run.model.name, **module.config.to_dict(), "parameters": total, "without_embedding": inner}
        | lora,
        "precision": str(trainer.precision),
        **({} if parent is None else {"parent": parent}),
        **origins(run.data, corpus),
        "vocabulary": {"name": corpus.vocab_path.name, "size": len(corpus.vocab), "sha256": corpus.vocab.fingerprint},
        "token_files": {
            name: {"documents": stats.documents, "tokens": stats.tokens, "sha256": digests[name]}
            for name, stats in (("train", splits.train), ("val", splits.val))
        },
    }


@contextmanager
def recorded(
    run: RunConfig,
    corpus: Corpus,
    module: LanguageModel,
    trainer: lightning.Trainer,
    export: ExportModel,
    parent: Content | None = None,
) -> Iterator[None]:
    """Give the module its manifest, and write `run.json` when the run starts and again when it ends, however it ends.

    Args:
        parent: the model whose weights the run begins with (`lai.model.lineage`).

    Its `state` is running, finished, interrupted or failed; a run that is killed stays at running.
    """
    module.manifest = Manifest(facts(run, corpus, module, trainer, parent))
    module.manifest.run = module.run_id

    def write(state: str, error: str | None = None) -> None:
        if trainer.is_global_zero:
            record = module.training_record(trainer.global_step)
            content = module.manifest.at(record, export.metrics if export.report is not None else None)
            told: Content = {} if error is None else {"error": error}
            if export.report is not None:
                told["export"] = str(export.report.path)
            if export.others:
                told["other_exports"] = [str(other.path) for other in export.others]
            with atomic_write(Path(run.output_dir) / NAME) as file:
                file.write(to_json({"run": module.run_id, "state": state, **told, **content}))

    write("running")
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        line = None if stopped else str(error) if isinstance(error, UserError) else first_line(error)
        with suppress(OSError):  # the error that ends the run is the one to tell
            write("interrupted" if stopped else "failed", line)
        raise
    write("finished")


def commit(folder: Path) -> dict[str, Any] | None:
    """The git commit that LAi's own code is of, and whether tracked files differ from it; None outside of git.

    An installed package may lie in another project's folder: a commit that does not have its files is not its own.
    """
    found = _git(folder, "ls-files", "--error-unmatch", "train.py")
    if found is None or (digest := _git(folder, "rev-parse", "HEAD")) is None:
        return None
    return {"hash": digest, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _command() -> str | None:
    """The command line as it was typed; None for a run from Python."""
    return shlex.join(("python", "-m", "lai.train", *typed_arguments())) if HydraConfig.initialized() else None


def _overrides() -> list[str]:
    """What the command line sets, in a sweep what it sets for this job."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _versions() -> dict[str, str]:
    found = {"lai": lai.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _machine(trainer: lightning.Trainer) -> dict[str, Any]:
    device = trainer.strategy.root_device
    found: dict[str, Any] = {
        "os": platform.platform(terse=True),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "device": device.type,
        "processes": trainer.world_size,
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found
