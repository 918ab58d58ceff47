"""A real `tensorboard --logdir` on a free port of this machine, asked as a browser asks it."""

import json
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from processes import start_python

_OPENER = build_opener(ProxyHandler({}))  # a proxy, where one is set, is for other machines


class Board:
    """The answers of a running TensorBoard."""

    def __init__(self, address):
        self.address = address

    def ask(self, route, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.address}data/{route}", data, {"Content-Type": "application/json"})
        with _OPENER.open(request, timeout=60) as answer:
            return json.loads(answer.read())

    def tags(self):
        """The names of the curves of each run."""
        return {run: sorted(tags) for run, tags in self.ask("plugin/scalars/tags").items()}

    def points(self, run, tag):
        """The (step, value) points of a curve."""
        rows = self.ask(f"plugin/scalars/scalars?run={quote(run)}&tag={quote(tag, safe='')}")
        return [(step, value) for _, step, value in rows]

    def table(self):
        """The rows of the table of settings: a name, and each row's settings and metrics."""
        asked = {
            "experimentName": "",
            "allowedStatuses": [f"STATUS_{name}" for name in ("UNKNOWN", "SUCCESS", "RUNNING", "FAILURE")],
        }
        columns = self.ask("plugin/hparams/experiment", {"experimentName": ""})
        metrics = [{"metric": info["name"]} for info in columns.get("metricInfos", [])]
        settings = [{"hparam": info["name"]} for info in columns.get("hparamInfos", [])]
        asked |= {"colParams": metrics + settings, "startIndex": 0, "sliceSize": 100}
        groups = self.ask("plugin/hparams/session_groups", asked).get("sessionGroups", [])
        return [
            {
                "name": group["name"],
                "settings": group.get("hparams", {}),
                "metrics": {
                    "/".join(filter(None, (value["name"].get("group"), value["name"]["tag"]))): value.get("value")
                    for value in group.get("metricValues", [])
                },
            }
            for group in groups
        ]


@contextmanager
def tensorboard(logdir, *, fast):
    """TensorBoard with one of its two data servers, the default one in Rust or that in Python."""
    if fast:
        pytest.importorskip("tensorboard_data_server", reason="TensorBoard's fast data server is not installed")
        from tensorboard_data_server import server_binary

        if server_binary() is None:
            pytest.skip("TensorBoard's fast data server does not run on this machine")
    log = Path(logdir) / "tensorboard.txt"
    command = ["-m", "tensorboard.main", "--logdir", logdir, "--host", "127.0.0.1", "--port", "0"]
    with log.open("w") as output:
        program = start_python(*command, f"--load_fast={str(fast).lower()}", stdout=output, stderr=subprocess.STDOUT)
    try:
        yield Board(_address(program, log))
    finally:
        program.terminate()
        program.wait(timeout=60)


def _address(program, log):
    for _ in range(600):
        assert program.poll() is None, log.read_text()
        found = [word for word in log.read_text().split() if word.startswith("http://127.0.0.1:")]
        if found:
            address = found[0]
            try:
                _OPENER.open(f"{address}data/runs", timeout=60).close()
            except URLError:
                pass
            else:
                return address
        time.sleep(0.1)
    raise AssertionError(log.read_text())
