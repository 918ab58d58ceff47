"""Files of documents."""

import gzip
from pathlib import Path

from lai.data.sources.files import read_documents
from lai.data.sources.streams import CorpusCounts
from lai.tokenizer.chat import Document


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(path: Path) -> tuple[list[Document], CorpusCounts]:
    counts = CorpusCounts()
    return list(read_documents(path, counts)), counts
