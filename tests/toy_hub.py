"""The documents of a local data set."""

from pathlib import Path
from typing import Any

from loopback_hub import parquet_bytes

from lai.data.sources.files import read_documents
from lai.data.sources.hub import HubSource, fetch
from lai.tokenizer.chat import Document


def documents(folder: Path, table: dict[str, list[Any]], **settings: Any) -> list[Document]:
    """The documents of a local data set with these columns, its table."""
    (folder / "train.parquet").write_bytes(parquet_bytes(**table))
    target = folder.parent / "out.jsonl"
    fetch(HubSource(str(folder), **settings), target)
    return list(read_documents(target))
