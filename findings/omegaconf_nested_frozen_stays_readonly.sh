#!/usr/bin/env bash
# OmegaConf merges values into a frozen dataclass, but not into a frozen dataclass inside it.
# omegaconf 2.3.1, Python 3.11.
# Input: OmegaConf.merge(OmegaConf.structured(Outer), values), where Outer has a number and an optional dataclass Inner.
# Seen:
#   Outer frozen, Inner not   both values are merged; the result is read-only
#   Outer not, Inner frozen   ReadonlyConfigError at the value of Inner: merge lifts the flag of the outermost node only
# The script fails where either answer changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check omegaconf==2.3.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from dataclasses import make_dataclass
from typing import Optional

from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError


def merged(outer_is_frozen, inner_is_frozen):
    inner = make_dataclass("Inner", [("b", int, 1)], frozen=inner_is_frozen)
    outer = make_dataclass("Outer", [("a", int, 1), ("inner", Optional[inner], None)], frozen=outer_is_frozen)
    try:
        config = OmegaConf.merge(OmegaConf.structured(outer), {"a": 2, "inner": {"b": 2}})
    except ReadonlyConfigError as error:
        return f"ReadonlyConfigError at {error.full_key}"
    return f"{OmegaConf.to_container(config)}, read-only: {OmegaConf.is_readonly(config)}"


outer, inner = merged(True, False), merged(False, True)
print("outer frozen:", outer)
print("inner frozen:", inner)
sys.exit(
    0
    if (outer, inner) == ("{'a': 2, 'inner': {'b': 2}}, read-only: True", "ReadonlyConfigError at inner.b")
    else 1
)
PYTHON
