"""LAi: train small Hungarian + English language models from scratch and run each as one binary file."""

__version__ = "0.1.0"
__all__ = ["Vocab", "__version__"]


def __getattr__(name: str) -> object:
    # `from lai import Vocab` works without making every `import lai.x` load SentencePiece.
    if name == "Vocab":
        from lai.export.vocab_file import StoredVocab

        return StoredVocab
    raise AttributeError(f"module 'lai' has no attribute {name!r}")
