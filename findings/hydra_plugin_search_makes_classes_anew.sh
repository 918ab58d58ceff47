#!/usr/bin/env bash
# Hydra's search for plug-ins executes modules again that are imported already, so its classes are not those of an import.
# hydra-core 1.3.8, Python 3.11.
# Input: import BasicLauncher from Hydra's own plug-ins, then let Plugins look for all of them.
# Seen: Plugins has another class of the same name; isinstance with the imported one is false.
# lai/sweep/running.py therefore knows Hydra's own launcher by its module's name. The script fails where this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-core==1.3.8
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins

found = Plugins.instance().class_name_to_class[f"{BasicLauncher.__module__}.BasicLauncher"]
print("the same class:", found is BasicLauncher)
sys.exit(found is BasicLauncher)
PYTHON
