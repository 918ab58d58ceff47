"""Warnings and log lines of other software that tell a user of LAi nothing."""

import logging
import warnings

_KNOWN = (
    ".*does not have many workers.*",  # slicing a mapped file needs none
    "GPU available but not used.*",  # trainer.accelerator=cpu was asked for
    "The `srun` command is available.*",  # outside of SLURM's jobs nobody needs it
    ".*exists and is not empty.*",  # the run's folder holds its config and log already
    ".*treespec, LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*The dirpath has changed.*",  # a resumed run keeps its checkpoints in a folder of its own
    ".*your dataloader is not resumable.*",  # the data module resumes where the checkpoint stopped
)


def hide_known_warnings() -> None:
    """Hide the known warnings, and of Lightning's log all but warnings and a profiler's report."""
    for message in _KNOWN:
        warnings.filterwarnings("ignore", message)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # its report, where a profiler is asked for
