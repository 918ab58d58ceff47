#!/usr/bin/env bash
# TensorBoard's two data servers show different curves for one run in which a step goes back.
# tensorboard 2.21.0, tensorboard-data-server 0.7.2, Python 3.11.
# Input: six points of one tag at steps 10 to 60, then one point of step 0 in a second event file of the same run.
# Seen over HTTP:
#   --load_fast=false (Python)  steps 10 20 30 40 50 60 0
#   --load_fast=true  (Rust)    step 0 alone: all six points of higher steps are gone
# The default, --load_fast=auto, takes the Rust server where it is installed.
# The script fails where either answer changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorboard==2.21.0 tensorboard-data-server==0.7.2
PATH="$folder/venv/bin:$PATH" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import re
import subprocess
import sys
import time
import urllib.request

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

logs = f"{sys.argv[1]}/logs"
for suffix, steps in ((".a", range(10, 70, 10)), (".b", [0])):
    writer = EventFileWriter(logs, filename_suffix=suffix)
    for step in steps:
        value = Summary.Value(tag="loss", simple_value=1.0)
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    writer.close()
    time.sleep(1.1)  # the second file's name begins with a later second


def served(load_fast):
    command = ["tensorboard", "--logdir", logs, "--port", "0", "--host", "127.0.0.1", f"--load_fast={load_fast}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stderr:
                if match := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    break
            for _ in range(60):
                time.sleep(0.5)
                try:
                    url = f"http://127.0.0.1:{match[1]}/data/plugin/scalars/scalars?run=.&tag=loss"
                    with urllib.request.urlopen(url, timeout=10) as answer:
                        return [int(point[1]) for point in json.load(answer)]
                except urllib.error.HTTPError:  # not loaded yet
                    continue
        finally:
            server.terminate()


python, rust = served("false"), served("true")
print("Python server:", python)
print("Rust server:  ", rust)
sys.exit(0 if (python, rust) == ([10, 20, 30, 40, 50, 60, 0], [0]) else 1)
PYTHON
