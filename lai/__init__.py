"""LAi: train small Hungarian + English language models from scratch and run each as one binary file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lai.export.reading.loaded import load as load
    from lai.export.vocab_file import StoredVocab as Vocab

__version__ = "0.1.0"
__all__ = ["Vocab", "__version__", "load"]


def __getattr__(name: str) -> object:
    # `from lai import Vocab` works without making every `import lai.x` load SentencePiece, or PyTorch for `lai.load`.
    if name == "Vocab":
        from lai.export.vocab_file import StoredVocab

        return StoredVocab
    if name == "load":
        from lai.export.reading.loaded import load

        return load
    raise AttributeError(f"module 'lai' has no attribute {name!r}")
