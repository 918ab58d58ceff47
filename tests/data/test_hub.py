import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from lai.data.corpus import read_documents
from lai.data.hub import hub_documents, save_hub_documents
from lai.data.markup import Turn, plain, translation_examples
from lai.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class LoopbackHub(http.server.ThreadingHTTPServer):
    """The routes of a hub that loading a data set asks for; `files` are those of every repository but org/missing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.status = 200

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: LoopbackHub

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        if self.server.status != 200:
            return self._send(self.server.status, b"broken")
        if match := re.fullmatch(r"/datasets/org/(?!missing)\w+/resolve/\w+/(.+)", path):
            return self._send_file(match[1])
        if match := re.fullmatch(r"/api/datasets/(org/(?!missing)\w+)(?:/(revision|tree)/(\w+)/?(.*))?", path):
            return self._send_json(match[1], match[2], match[4] or "")
        return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _send_json(self, repository: str, kind: str | None, folder: str) -> None:
        files = self.server.files
        if kind in (None, "revision"):
            answer: object = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        else:
            recursive = "recursive=true" in self.path.lower()
            answer = [
                entry for entry in self._entries() if recursive or str(entry["path"]).rpartition("/")[0] == folder
            ]
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _entries(self) -> list[dict[str, object]]:
        folders = {name.rpartition("/")[0] for name in self.server.files} - {""}
        return [{"type": "directory", "oid": COMMIT, "size": 0, "path": path} for path in sorted(folders)] + [
            {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": name}
            for name, data in self.server.files.items()
        ]

    def _send_file(self, name: str) -> None:
        if name not in self.server.files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        data = self.server.files[name]
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            end = min(int(match[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {match[1]}-{end}/{len(data)}"
            return self._send(206, data[int(match[1]) : end + 1], headers)
        return self._send(200, data, headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    server = LoopbackHub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def parquet_bytes(**columns: list[object]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def fetch(endpoint: str, target: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run `save_hub_documents` in a process of its own: the hub's address is read when `datasets` is imported."""
    program = (
        "import sys, json, time\n"
        "time.sleep = lambda seconds: None\n"  # the pauses between the hub client's attempts
        "from lai.data.hub import save_hub_documents\n"
        "from lai.errors import run_program\n"
        "target, settings = sys.argv[1], json.loads(sys.argv[2])\n"
        "run_program(lambda: print(save_hub_documents(target, **settings)))\n"
    )
    home = target.parent / "hub-home"
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}
    return subprocess.run(
        [sys.executable, "-c", program, str(target), json.dumps(settings)],
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_data_set_is_streamed_and_saved(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.files = {
        "README.md": b"---\nconfigs:\n- config_name: hu\n  data_files: [{split: train, path: hu/*.parquet}]\n---\n",
        "hu/train-00000.parquet": parquet_bytes(title=["Ló", "<user>"], text=["egy\nkét", "x</user>"]),
        "hu/train-00001.parquet": parquet_bytes(title=["három"], text=["nem kell"]),
    }
    target = tmp_path / "out.jsonl.gz"
    done = fetch(hub.endpoint, target, name="org/wiki", config="hu", split="train", template="{title}{text}", limit=2)
    assert (done.returncode, done.stdout) == (0, "{'documents': 2}\n"), done.stderr
    # The second row looks like markup once filled in, and must not become it.
    assert list(read_documents(target)) == [plain("Lóegy\nkét".encode()), plain(b"<user>x</user>")]


def test_a_failing_hub_is_one_line_and_leaves_no_file(hub: LoopbackHub, tmp_path: Path) -> None:
    def fails(name: str, endpoint: str = hub.endpoint) -> str:
        done = fetch(endpoint, tmp_path / "out.jsonl.gz", name=name, split="train")
        assert done.returncode == 2, done.stderr
        assert list(tmp_path.glob("*.gz*")) == []
        last = done.stderr.splitlines()[-1]
        assert re.match(rf"error: {name} \(.*split train.*\) cannot be read from {endpoint}: .*data=synthetic", last), (
            last
        )
        return last

    fails("org/missing")
    hub.files = {"train.parquet": b"PAR1 this is no Parquet file PAR1"}
    assert "arquet" in fails("org/garbage")
    hub.status = 500
    fails("org/broken")
    fails("org/refused", "http://127.0.0.1:9")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to put Parquet files into."""
    folder = tmp_path / "rows"
    folder.mkdir()
    return folder


def documents(folder: Path, template: str | None = None, **columns: list[object]) -> list[object]:
    (folder / "train.parquet").write_bytes(parquet_bytes(**columns))
    return list(hub_documents(str(folder), split="train", template=template))


def test_a_template_makes_turns_and_columns_are_never_markup(folder: Path) -> None:
    rows = documents(
        folder,
        "<user>{q} {{n={meta.n}}}</user><assistant>{a}</assistant>",
        q=["What?", "x</user><assistant>y", "blank answer"],
        a=["That.", "<user>", " "],
        meta=[{"n": 1}, {"n": 2}, {"n": 3}],
    )
    assert rows == [
        (Turn("user", b"What? {n=1}"), Turn("assistant", b"That.")),
        (Turn("user", b"x</user><assistant>y {n=2}"), Turn("assistant", b"<user>")),
    ]


def test_without_a_template_the_columns_decide(folder: Path) -> None:
    chat = b"<user>a</user><assistant>b</assistant>"
    assert documents(folder, text=[chat.decode(), None, ""]) == [plain(chat)]
    pairs = documents(folder, translation=[{"en": "dog", "hu": "kutya"}, {"en": "cat", "hu": ""}])
    assert pairs == list(translation_examples(b"dog", b"kutya"))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("no column", "expected at least one column"),
        ("{text", "literal brace"),
        ("{}", "plain columns"),
        ("{text:>9}", "plain columns"),
        ("{other}", "row 1: found columns 'text'; expected other"),
        ("{text.x}", "expected text.x"),
    ],
)
def test_a_wrong_template_is_named(folder: Path, template: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        documents(folder, template, text=["x"])


def test_saving_is_deterministic_and_refuses_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "train.parquet").write_bytes(parquet_bytes(text=["one\ntwo", "három", " "]))
    for target in ("a.jsonl.gz", "b.jsonl.gz"):
        assert save_hub_documents(tmp_path / target, name=str(folder), split="train") == {"documents": 2}
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    with pytest.raises(UserError, match="gave no document"):
        save_hub_documents(tmp_path / "c.jsonl.gz", name=str(folder), split="train", limit=0)
    assert not (tmp_path / "c.jsonl.gz").exists()
