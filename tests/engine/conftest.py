from engine_fixtures import engine, make_model, vocab

__all__ = ["engine", "make_model", "vocab"]
