"""A hub on this machine: the routes that loading a data set asks for, and ways to fail."""

import hashlib
import http.server
import io
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow
from pyarrow import parquet

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class LoopbackHub(http.server.ThreadingHTTPServer):
    """Serves `repositories`, by name the files of each, alike at every commit; `commit` is the newest.

    `status` other than 200 answers everything with it; of a file in `cut`, so many bytes go out before the connection
    is cut; repositories in `gated` are refused. `sent` counts the bytes that went out.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.status = 200
        self.commit = COMMIT
        self.cut: dict[str, int] = {}
        self.gated: set[str] = set()
        self.asked: list[str] = []
        self.sent = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def environment(self, home: Path, endpoint: str | None = None) -> dict[str, str]:
        """What a program needs to use this hub; its cache lies in `home`."""
        return os.environ | {
            "HF_ENDPOINT": endpoint or self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "*",
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    server: LoopbackHub

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        self.server.asked.append(path)
        if self.server.status != 200:
            return self._send(self.server.status, b"broken")
        match = re.fullmatch(r"(?:/api)?/datasets/([\w.-]+/[\w.-]+)(?:/(revision|tree|resolve)/(\w+)/?(.*))?", path)
        files = self.server.repositories.get(match[1]) if match else None
        if match and match[1] in self.server.gated:
            return self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        if match is None or files is None:
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        if match[2] == "resolve":
            return self._send_file(files, match[4])
        return self._send_json(files, match[1], match[2], match[3], match[4] or "")

    do_HEAD = do_GET

    def _send_json(
        self, files: dict[str, bytes], repository: str, kind: str | None, revision: str | None, folder: str
    ) -> None:
        if kind in (None, "revision"):
            answer: object = {
                "id": repository,
                "sha": revision if revision and len(revision) == 40 else self.server.commit,
                "siblings": [{"rfilename": name} for name in files],
            }
        else:
            recursive = "recursive=true" in self.path.lower()
            answer = [
                entry for entry in _entries(files) if recursive or str(entry["path"]).rpartition("/")[0] == folder
            ]
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send_file(self, files: dict[str, bytes], name: str) -> None:
        if name not in files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        data = files[name]
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            end = min(int(match[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {match[1]}-{end}/{len(data)}"
            return self._send(206, data[int(match[1]) : end + 1], headers, cut=name)
        return self._send(200, data, headers, cut=name)

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None, cut: str = "") -> None:
        sent = data
        if cut in self.server.cut and self.command != "HEAD":
            sent = data[: self.server.cut[cut]]
            self.server.cut[cut] -= len(sent)
            self.close_connection = True
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)
            self.server.sent += len(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _entries(files: dict[str, bytes]) -> list[dict[str, object]]:
    folders = {name.rpartition("/")[0] for name in files} - {""}
    return [{"type": "directory", "oid": COMMIT, "size": 0, "path": path} for path in sorted(folders)] + [
        {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": name}
        for name, data in files.items()
    ]


@contextmanager
def serving() -> Iterator[LoopbackHub]:
    """A hub that answers until the block ends."""
    server = LoopbackHub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def parquet_bytes(row_group_size: int | None = None, **columns: list[object]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer, row_group_size=row_group_size)
    return buffer.getvalue()


def configs(**paths: str) -> bytes:
    """A README whose `configs:` block names the data files of the train split of each config."""
    lines = [
        f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {path}" for name, path in paths.items()
    ]
    return ("---\nconfigs:\n" + "\n".join(lines) + "\n---\n# A data set\n").encode()


def known_repositories(articles: int = 30, stories: int = 40, pairs: int = 50) -> dict[str, dict[str, bytes]]:
    """The three known data sets in small: laid out as they are, with a few rows that cleaning drops."""
    text = "Ez egy mondat a {n}. szócikkből, ami elég hosszú. " * 8
    wiki = {
        "id": [str(n) for n in range(articles)],
        "url": ["https://hu.wikipedia.org/"] * articles,
        "title": [f"Cikk {n}" for n in range(articles)],
        "text": [
            "Csonk." if n % 10 == 9 else text.format(n=n) + "\n\nMásodik bekezdés.\n\nJegyzetek\n\nNem kell."
            for n in range(articles)
        ],
    }
    told = [f"Once upon a time there was a cat number {n}.\n\nShe liked to play in the garden." for n in range(stories)]
    said = [{"en": f"The dog number {n}.", "hu": "" if n % 10 == 9 else f"A {n}. kutya."} for n in range(pairs)]
    half = articles // 2
    return {
        "wikimedia/wikipedia": {
            "README.md": configs(**{"20231101.en": "20231101.en/*", "20231101.hu": "20231101.hu/train-*"}),
            "20231101.hu/train-00000-of-00002.parquet": parquet_bytes(**{k: list(v[:half]) for k, v in wiki.items()}),
            "20231101.hu/train-00001-of-00002.parquet": parquet_bytes(**{k: list(v[half:]) for k, v in wiki.items()}),
            "20231101.en/train-00000-of-00001.parquet": parquet_bytes(text=["another language"]),
        },
        "roneneldan/TinyStories": {
            "README.md": configs(default="data/train-*"),
            "data/train-00000-of-00001-abc.parquet": parquet_bytes(text=list(told)),
        },
        "Helsinki-NLP/opus-100": {
            "README.md": configs(**{"de-en": "de-en/train-*", "en-hu": "en-hu/train-*"}),
            "en-hu/train-00000-of-00001.parquet": parquet_bytes(translation=list(said)),
            "de-en/train-00000-of-00001.parquet": parquet_bytes(translation=[{"de": "Hund", "en": "dog"}]),
        },
    }
