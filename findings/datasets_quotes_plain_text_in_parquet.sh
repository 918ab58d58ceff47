#!/usr/bin/env bash
# datasets stores a column of plain texts as JSON, each with its quotation marks, if one row of it holds a list.
# datasets 5.2.0, Python 3.11.
# Input: a .jsonl of chats. In all rows but one, a message's content is a text; in one row it is a list of text parts.
# load_dataset("json", data_files=...).to_parquet(...), then the Parquet file as pyarrow reads it.
# Seen:
#   contents of both kinds   content is a text column of JSON: the plain text Hi lies there as "Hi", quotation marks included
#   plain contents alone     content is a plain text column: Hi
# So whoever trains on the column as text trains on quotation marks. The script fails where either answer changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0
export HF_HOME=$folder/hub HF_HUB_OFFLINE=1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys

import datasets
from pyarrow import parquet

folder = sys.argv[1]
datasets.disable_progress_bars()
plain = {"messages": [{"role": "user", "content": "Hi"}]}
parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}


def stored(name, rows):
    with open(f"{folder}/{name}.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    loaded = datasets.load_dataset("json", data_files=f"{folder}/{name}.jsonl", split="train")
    loaded.to_parquet(f"{folder}/{name}.parquet")
    messages = parquet.read_table(f"{folder}/{name}.parquet").column("messages")
    return messages.type, messages[0].as_py()[0]["content"]


mixed, alone = stored("mixed", [plain, parts]), stored("alone", [plain, plain])
print("both kinds: ", *mixed)
print("plain alone:", *alone)
sys.exit(0 if (mixed[1], alone[1]) == ('"Hi"', "Hi") else 1)
PYTHON
