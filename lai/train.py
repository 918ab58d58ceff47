"""`python -m lai.train`: compose the config, build the objects, fit, export; returns `sweep.metric` to sweepers."""

import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lai.config.describe import answer
from lai.config.hydra_errors import check_names, explain, flags_first
from lai.config.hydra_section import names_other_configs, watch_foreign_configs
from lai.config.load import CONF_DIR, known_keys, load_run_config
from lai.config.schema import RunConfig
from lai.host.cli import leave, remember_arguments
from lai.host.console import discard_output, prepare_output, printable, say
from lai.host.cpu import keep_freed_memory, wait_briefly
from lai.host.errors import Interrupted, UserError, message_of
from lai.host.files import with_home
from lai.host.garbage import collect_garbage_again, defer_garbage_collection
from lai.host.signals import stop_signals
from lai.host.temporary import sweep
from lai.run.checkpoint_folders import free_folders
from lai.run.folders import check_outputs, claimed, keep_choice, moved, save_config, set_hydra_defaults
from lai.run.follow import follow_initial
from lai.run.launch import check_processes, folder_of_process, is_first_process, take_from_launcher
from lai.run.resume import as_started, choose_checkpoint
from lai.sweep.attach import ledger_kept
from lai.sweep.jobs import forget_job, in_sweep, processes_of_a_job
from lai.sweep.running import Sweep
from lai.sweep.space import resumed
from lai.sweep.table import lines, write_csv

log = logging.getLogger("lai.train")  # also where this file is the program

_WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"  # read before `main` sets it


def train(run: RunConfig) -> float:
    """Do one run: prepare the data, build module and trainer, fit, export. Its files go under `run.output_dir`.

    Signals that ask to stop end it between two steps, its state saved; the caller's handlers are given back.

    Returns:
        The metric `sweep.metric` of the exported weights, `val/loss` unless it is set; NaN without validation.

    Raises:
        UserError: something that the user can put right.
        Interrupted: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2.
    """
    with stop_signals():
        return _train(run)


def _train(run: RunConfig) -> float:
    # PyTorch and Lightning take seconds to import; mistakes that show without them are reported before.
    from lightning import seed_everything

    from lai.callbacks.drop_state import freed_bytes
    from lai.callbacks.export import ExportModel
    from lai.callbacks.first_validation import FirstValidation
    from lai.data.prepare import prepare_corpus
    from lai.export.vocab_file import load_vocab
    from lai.model.transformer import ModelConfig
    from lai.run import estimate, manifest, memory, mixture, summary, targets
    from lai.run.accelerator_check import check_accelerator
    from lai.run.batch_size import check_batch_size, choose_batch_size
    from lai.run.build import build_datamodule, build_module, build_trainer, groups_of, own_callbacks
    from lai.run.compile import choose_compiling
    from lai.run.device import prepare_device
    from lai.run.fit import fit, within_memory
    from lai.run.initial import read_initial
    from lai.run.preflight import check_files, export_path

    collect_garbage_again()
    take_from_launcher(run)
    prepare_device(run)
    export = ExportModel(export_path(run), run.export.dtype, run.export.formats)
    check_files(run, export.path)
    if is_first_process():
        sweep([Path(run.output_dir), with_home(run.data.cache_dir), export.path.parent])
    ModelConfig.of(run.model, run.data.vocab_size)  # refuses an impossible shape before any data is read
    initial = read_initial(run)
    measure = estimate.Measure.instead_of_training(run) if run.estimate else None
    own = [measure] if measure else own_callbacks(run, export)
    if initial is not None and initial.model is not None and measure is None:
        own = [*own, FirstValidation()]
    trainer = build_trainer(run, own)
    check_processes(trainer)
    check_batch_size(run, trainer.world_size)

    with within_memory("prepare less text at a time, or end other programs: the data were being prepared"):
        corpus = prepare_corpus(run.data, initial.vocab_reader(load_vocab) if initial else load_vocab)
        counting = targets.counting_of(run, corpus)
    seed_everything(run.seed, verbose=False)
    config = ModelConfig.of(run.model, len(corpus.vocab))
    why_batch_size = choose_batch_size(run, config, corpus, trainer)
    if why_batch_size is not None:
        keep_choice(Path(run.output_dir), "data.batch_size", run.data.batch_size)
    choose_compiling(run, config, corpus.token_files.stats.train.tokens, trainer.world_size)
    planned = memory.plan(run, config, corpus, trainer)
    planned.check(run.data.batch_size, sure=measure is None)
    check_accelerator(run, config, trainer)

    with within_memory():
        datamodule = build_datamodule(run, corpus)
        mixed = mixture.plan(datamodule, trainer)
        module = build_module(run, config, corpus, initial, counting=counting, groups=groups_of(datamodule))
        _log_lines(summary.start(run, corpus, module, trainer, why_batch_size, initial, counting))
        _log_lines(mixture.lines(mixed))
        keep_freed_memory()
        parent = None if initial is None else initial.parent
        with nullcontext() if measure else manifest.recorded(run, corpus, module, trainer, export, parent):
            fit(run, trainer, module, datamodule)

    if measure is not None:
        # Not the module's device: Lightning has moved the module back to the CPU.
        _log_lines(estimate.lines(run, corpus, module.config, measure, planned, trainer.strategy.root_device))
        return math.nan
    _log_lines(summary.end(Path(run.output_dir), export, freed_bytes(trainer)))
    _log_lines(summary.answers(run, export))
    return export.metrics.get(run.sweep.metric, math.nan)


def _log_lines(lines: Iterable[str]) -> None:
    for line in lines:
        log.info(line)


def _run(composed: DictConfig) -> float:
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not is_first_process():  # the first process logs for all
        logging.getLogger("lai").setLevel(logging.WARNING)
        choose_checkpoint(composed, folder)
        return train(load_run_config(moved(composed, folder), sys.argv[1:], follow_initial))
    choose_checkpoint(composed, folder)
    with claimed(folder, composed):
        run = load_run_config(moved(composed, folder), sys.argv[1:], follow_initial)
        check_outputs(run, folder)
        with free_folders(run), processes_of_a_job(run.output_dir) if in_sweep() else nullcontext():
            save_config(as_started(run), folder)
            if not in_sweep() and run.export.path is None:
                run.export.path = f"models/lai-{run.model.name}.bin"
            return train(run)


@hydra.main(config_path=str(CONF_DIR), config_name="train", version_base="1.3")
def _hydra_main(composed: DictConfig) -> float:
    try:
        return _run(composed)
    except (UserError, OSError) as found:
        _keep_traceback(found.__cause__)
        error = explain(found, sys.argv[1:]) or found
        if in_sweep():  # its row in the ledger says so, and the other jobs are done
            forget_job(found)
            raise error from None
        log.debug(
            "error: %s", message_of(error)
        )  # for the log file; on the screen Hydra would print a line before ours
        sys.exit(_tell(error))
    except Exception as error:
        log.debug("ended by", exc_info=True)
        forget_job(error)
        raise
    finally:
        forget_job()


def _keep_traceback(cause: BaseException | None) -> None:
    """Write where other software failed, such as a user's callback, to the log file; on request also to the screen."""
    if cause is None:
        return
    log.debug("ended by", exc_info=cause)
    if _WANTS_TRACEBACK and is_first_process():
        traceback.print_exception(cause)


def _tell(error: UserError | OSError) -> int:
    print(printable(f"error: {message_of(error)}", sys.stderr), file=sys.stderr)
    return 2


def _with_new_keys(arguments: Sequence[str]) -> list[str]:
    """The arguments; with a config from elsewhere, LAi's settings may be new there: an earlier version wrote it."""
    if not names_other_configs(arguments):
        return list(arguments)
    keys = "|".join(map(re.escape, known_keys()))
    return [re.sub(rf"^\+*({keys})=", r"++\1=", argument) for argument in arguments]


def _start() -> int:
    """Have Hydra do the run or the sweep; gives the exit status."""
    with ledger_kept() as sweeps:
        try:
            _hydra_main()
        finally:
            for sweep in sweeps:
                if sweep.ledger.exists():
                    _tell_results(sweep)
    return 0 if all(sweep.is_done() for sweep in sweeps) else 2


def _tell_results(sweep: Sweep) -> None:
    for line in lines(sweep.ledger):
        say(line)
    write_csv(sweep.ledger)


def main() -> None:
    """The entry point of `python -m lai.train` and `lai-train`."""
    prepare_output()
    if (text := answer(sys.argv[1:])) is not None:
        print(text)
        return
    defer_garbage_collection()
    wait_briefly()  # composing the config imports PyTorch, to see what devices there are
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach this function; Hydra would print several lines
    try:
        with stop_signals(), folder_of_process() as overrides:
            remember_arguments()
            arguments = resumed(sys.argv[1:])
            sys.argv[1:] = [*flags_first(_with_new_keys(arguments)), *overrides]
            check_names(sys.argv[1:])
            watch_foreign_configs(sys.argv[1:], CONF_DIR)
            set_hydra_defaults(chooses_folder=is_first_process())
            status = _start()
        if status:
            leave(status)
    except KeyboardInterrupt as stop:
        with suppress(OSError):  # the terminal may be gone
            print("interrupted", file=sys.stderr)
        leave(stop.status if isinstance(stop, Interrupted) else 130)
    except BrokenPipeError:  # `… --help | head`
        discard_output()
        sys.exit(1)
    except Exception as error:
        mistake = explain(error, sys.argv[1:])
        if mistake is None or _WANTS_TRACEBACK:
            raise
        leave(_tell(mistake))


if __name__ == "__main__":
    main()
