"""Fetching data sets from a hub served on this machine, whole, broken off and broken."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_hub import COMMIT, LoopbackHub, configs, parquet_bytes, serving
from toy_hub import documents

from lai.data.sources.files import read_documents
from lai.data.sources.hub import HubSource, fetch
from lai.tokenizer.chat import plain

ROOT = Path(__file__).parents[3]


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with serving() as server:
        yield server


def fetched(hub: LoopbackHub, target: Path, endpoint: str | None = None, **settings: object):
    """Run `fetch` in a process of its own: the hub's address is read when `datasets` is imported."""
    program = (
        "import sys, json, time\n"
        "time.sleep = lambda seconds: None\n"  # the pauses between the hub client's attempts
        "from pathlib import Path\n"
        "from lai.data.sources import hub\n"
        "from lai.host.cli import run_program\n"
        "hub._SAVE_SECONDS = 0\n"
        "target, settings = sys.argv[1], json.loads(sys.argv[2])\n"
        "run_program(lambda: print(hub.fetch(hub.HubSource(**settings), Path(target)).documents))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(target), json.dumps(settings)],
        env=hub.environment(target.parent / "hub-home", endpoint),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("streaming", [True, False])
def test_a_data_set_is_fetched_and_saved(hub: LoopbackHub, tmp_path: Path, streaming: bool) -> None:
    hub.repositories["org/wiki"] = {
        "README.md": configs(hu="hu/*.parquet"),
        "hu/train-00000.parquet": parquet_bytes(title=["Ló", "<user>"], text=["egy\nkét", "x</user>"]),
        "hu/train-00001.parquet": parquet_bytes(title=["három"], text=["nem kell"]),
    }
    target = tmp_path / "out.jsonl"
    settings = {"name": "org/wiki", "config": "hu", "template": "{title}{text}", "limit": 2, "streaming": streaming}
    done = fetched(hub, target, **settings)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    # The second row looks like markup once filled in, and must not become it.
    assert list(read_documents(target)) == [plain("Lóegy\nkét".encode()), plain(b"<user>x</user>")]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.jsonl"]


def test_a_failing_hub_is_one_line_and_leaves_no_file(hub: LoopbackHub, tmp_path: Path) -> None:
    def fails(name: str, endpoint: str | None = None) -> str:
        done = fetched(hub, tmp_path / "out.jsonl", endpoint, name=name)
        assert done.returncode == 2, done.stderr
        assert not list(tmp_path.glob("*.jsonl*"))
        last = done.stderr.splitlines()[-1]
        where = re.escape(endpoint or hub.endpoint)
        assert re.match(rf"error: {name} \(.*split train.*\) cannot be read from {where}: .*data=synthetic", last), last
        assert "Traceback" not in done.stderr
        return last

    assert "there is no data set of this name, or it is private" in fails("org/missing")
    hub.gated.add("org/gated")
    assert "ask on its page, then log in with `hf auth login`" in fails("org/gated")
    hub.repositories["org/garbage"] = {"train.parquet": b"PAR1 this is no Parquet file PAR1"}
    assert "arquet" in fails("org/garbage")
    hub.repositories["org/cut"] = {"train.parquet": parquet_bytes(text=["x" * 1000] * 1000)}
    hub.cut["train.parquet"] = 100
    fails("org/cut")
    hub.status = 500
    fails("org/broken")
    fails("org/refused", "http://127.0.0.1:9")


def test_streaming_fetches_little_more_than_the_limit(hub: LoopbackHub, tmp_path: Path) -> None:
    """And a data set that is left in the middle does not crash Python as it ends."""
    texts = [random.Random(row).randbytes(2000).hex() for row in range(10_000)]
    hub.repositories["org/large"] = {"train.parquet": parquet_bytes(row_group_size=500, text=list(texts))}
    done = fetched(hub, tmp_path / "out.jsonl", name="org/large", limit=3)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
    assert hub.sent < 15e6 < len(hub.repositories["org/large"]["train.parquet"])


def test_an_interrupted_fetch_resumes_and_writes_nothing_twice(hub: LoopbackHub, tmp_path: Path) -> None:
    """The connection is cut inside the last of three files; the second call goes on there."""
    texts = [[f"text {file}-{row}" for row in range(400)] for file in range(3)]
    files = {f"train-{n:05d}-of-00003.parquet": parquet_bytes(text=list(rows)) for n, rows in enumerate(texts)}
    hub.repositories["org/long"] = dict(files)
    hub.cut["train-00002-of-00003.parquet"] = 50
    target = tmp_path / "out.jsonl"
    broken = fetched(hub, target, name="org/long")
    assert broken.returncode == 2 and not target.exists()
    kept = int(re.search(r"([\d,]+) rows are kept, and the same command resumes", broken.stderr)[1].replace(",", ""))  # type: ignore[index]
    assert kept == 800
    # What a killed process wrote behind its last saved state must not stay either.
    with (tmp_path / ".out.jsonl.part").open("ab") as part:
        part.write(b'{"text": "written, but not saved"}\n{"te')
    hub.cut.clear()
    # Whoever fetched the first file once more would find other rows in it.
    hub.repositories["org/long"]["train-00000-of-00003.parquet"] = parquet_bytes(text=["changed"] * 400)
    done = fetched(hub, target, name="org/long")
    assert (done.returncode, done.stdout) == (0, "1200\n"), done.stderr
    assert list(read_documents(target)) == [plain(text.encode()) for rows in texts for text in rows]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.jsonl"]


def test_a_resumed_fetch_reads_the_commit_of_the_first_call(hub: LoopbackHub, tmp_path: Path) -> None:
    """Without a revision the newest one is read, which may have moved on meanwhile."""
    files = {f"train-{n}.parquet": parquet_bytes(text=[f"{n}-{row}" for row in range(5)]) for n in range(2)}
    hub.repositories["org/moving"] = files
    hub.cut["train-1.parquet"] = 50
    assert fetched(hub, tmp_path / "out.jsonl", name="org/moving").returncode == 2
    hub.cut.clear()
    hub.commit = "f" * 40
    hub.asked.clear()
    assert fetched(hub, tmp_path / "out.jsonl", name="org/moving").returncode == 0
    revisions = {path.split("/")[5] for path in hub.asked if path.startswith("/datasets/") and "/resolve/" in path}
    assert revisions == {COMMIT}


def test_a_changed_folder_is_read_anew(folder: Path) -> None:
    assert documents(folder, {"text": ["one"]}) == [plain(b"one")]
    first = HubSource(str(folder)).identity()
    assert documents(folder, {"text": ["one", "two"]}) == [plain(b"one"), plain(b"two")]
    assert HubSource(str(folder)).identity() != first


def test_a_fetch_with_other_settings_does_not_resume(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repositories["org/one"] = {"train.parquet": parquet_bytes(text=["one", "two"])}
    target = tmp_path / "out.jsonl"
    (tmp_path / ".out.jsonl.part").write_bytes(b'{"text": "other"}\n')
    state = {"source": "other", "done": {"rows": 1, "documents": 1, "size": 18}, "position": {}}
    (tmp_path / ".out.jsonl.state").write_text(json.dumps(state))
    assert fetched(hub, target, name="org/one").returncode == 0
    assert list(read_documents(target)) == [plain(b"one"), plain(b"two")]


def test_fetching_is_deterministic(folder: Path, tmp_path: Path) -> None:
    (folder / "train.parquet").write_bytes(parquet_bytes(text=["one\ntwo", "három", " "]))
    for target in ("a.jsonl", "b.jsonl"):
        done = fetch(HubSource(str(folder)), tmp_path / target)
        assert (done.rows, done.dropped, done.documents) == (2, 1, 2)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
