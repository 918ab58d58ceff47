#!/usr/bin/env bash
# pip 26.2: with --require-hashes, pip takes a file from an index and leaves a newer one in a --find-links folder, though
# the hashes of both are allowed. Without hashes it takes the newer one, from the folder.
#
# Guess before the run: the highest version wins, as without hashes; a CPU-only torch (2.13.0+cpu) in a folder is taken
# where both its hash and that of PyPI's torch stand in the lock.
# Seen: "idna-3.10-py3-none-any.whl" of the index is taken, not "idna-3.10+local-py3-none-any.whl" of the folder. pip sorts
# files first by whether their link carries an allowed hash, and a path in a folder carries none.
# Source: pip/_internal/index/package_finder.py, CandidateEvaluator._sort_key.
#
# Fails if pip begins to take the file of the folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet 'pip==26.2' 2>/dev/null
env/bin/pip download --quiet --no-deps --dest index 'idna==3.10' 2>/dev/null
# The same package with a local version, which counts as newer.
env/bin/python - <<'PYTHON'
import zipfile
from pathlib import Path

Path("folder").mkdir()
with zipfile.ZipFile("index/idna-3.10-py3-none-any.whl") as old, zipfile.ZipFile(
    "folder/idna-3.10+local-py3-none-any.whl", "w"
) as new:
    for name in old.namelist():
        data = old.read(name)
        if name.endswith("METADATA"):
            data = data.replace(b"Version: 3.10\n", b"Version: 3.10+local\n")
        if not name.endswith("RECORD"):
            new.writestr(name.replace("idna-3.10.", "idna-3.10+local."), data)
    new.writestr("idna-3.10+local.dist-info/RECORD", "")
PYTHON
hash_of() { sha256sum "$1" | cut -d' ' -f1; }
echo "idna==3.10 --hash=sha256:$(hash_of index/*.whl) --hash=sha256:$(hash_of folder/*.whl)" >locked.txt
echo 'idna==3.10' >unlocked.txt
chosen() { env/bin/pip install --dry-run --no-deps --find-links folder --requirement "$1" 2>/dev/null | grep 'Would install'; }
echo "without hashes: $(chosen unlocked.txt)"
echo "with hashes:    $(chosen locked.txt)"
test "$(chosen unlocked.txt)" = 'Would install idna-3.10+local'
test "$(chosen locked.txt)" = 'Would install idna-3.10'
