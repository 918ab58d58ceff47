"""Show what runs have left in a folder and in the caches there, and remove what nothing needs.

Nothing needs the optimizer's state of finished runs (of runs with checkpoint.keep=all it stays), token files that no
run's checkpoints name, and temporary files of killed programs. Without --remove, nothing is removed.
"""

import argparse
from pathlib import Path

from lai.host.cli import run_program
from lai.host.console import printable
from lai.programs.arguments import argument_parser
from lai.run.leftovers import Leftovers, find_leftovers, remove


def main() -> None:
    """The entry point of `lai-clean`."""
    run_program(_clean)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__, "Links are not followed, and a run that is running is left as it is.")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("outputs"), help="the folder of runs (default: outputs)"
    )
    parser.add_argument("--remove", action="store_true", help="remove what nothing needs")
    return parser.parse_intermixed_args()


def _clean() -> int:
    options = _parse_arguments()
    found = find_leftovers(options.folder)
    if options.remove:
        freed = 0
        for path, size in remove(found):
            print(printable(f"{_megabytes(size)}  removed: {path}"))
            freed += size
        print(f"{_megabytes(freed)}  removed in all")
        return 0
    for size, text in _lines(found):
        print(printable(f"{_megabytes(size)}  {text}"))
    return 0


def _lines(found: Leftovers) -> list[tuple[int, str]]:
    lines = [(sum(run.size for run in found.runs), f"{len(found.runs)} runs")]
    for run in found.runs:
        notes = [*(["running"] if run.is_running else []), *(["checkpoint.keep=all"] if run.keeps_all else [])]
        lines.append((run.size, f"  {run.folder}" + (f" ({', '.join(notes)})" if notes else "")))
    lines += [(size, f"cache {folder}") for folder, size in found.caches.items()]
    removable = found.removable
    lines.append((sum(removable.values()), "of it can be removed" + (" by --remove:" if removable else "")))
    lines += [(size, f"  the optimizer's state in {path}") for run in found.runs for path, size in run.states.items()]
    lines += [(size, f"  token files {path}") for path, size in found.token_files.items()]
    lines += [(size, f"  temporary {path}") for path, size in found.temporary.items()]
    return lines


def _megabytes(size: int) -> str:
    return f"{size / 1e6:>10,.1f} MB"


if __name__ == "__main__":
    main()
