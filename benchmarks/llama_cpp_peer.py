"""`python benchmarks/llama_cpp_peer.py MODEL.gguf THREADS`: measures llama.cpp as `lai --bench` measures the engine.

It is a process of its own, as the engine is. The figures include Python's overhead of some microseconds per token.
"""

import argparse
import ctypes
import json
import time
from collections.abc import Callable
from pathlib import Path

import llama_cpp
import numpy as np

RUNS = 5


class Peer:
    """llama.cpp with a model and one sequence."""

    def __init__(self, path: str, threads: int, context: int = 512) -> None:
        llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), settings)
        assert self.model, path
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = context
        settings.n_batch = settings.n_ubatch = context
        settings.n_threads = settings.n_threads_batch = threads
        settings.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        assert self.context, path
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)

    def decode(self, tokens: list[int]) -> None:
        """Compute tokens and the logits of the last one."""
        ids = (llama_cpp.llama_token * len(tokens))(*tokens)
        failed = llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(ids, len(tokens)))
        assert not failed, failed

    def logits(self) -> np.ndarray:
        values = llama_cpp.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(values, (self.vocab_size,)).copy()


@llama_cpp.llama_log_callback
def _SILENT(level: int, text: bytes, data: ctypes.c_void_p) -> None:
    pass


def best_seconds(work: Callable[..., float], *arguments: int) -> float:
    return min(work(*arguments) for _ in range(RUNS))


def measure(peer: Peer) -> dict[str, float]:
    """Tokens per second, with the names of `lai --bench --json`."""
    tokens = [4 + i % (peer.vocab_size - 4) for i in range(512)]

    def prefill(count: int) -> float:
        peer.clear()
        start = time.perf_counter()
        peer.decode(tokens[:count])
        peer.logits()
        return time.perf_counter() - start

    def decode() -> float:
        peer.clear()
        peer.decode(tokens[:128])
        start = time.perf_counter()
        for token in tokens[:128]:
            peer.decode([token])
            llama_cpp.llama_get_logits_ith(peer.context, -1)
        return time.perf_counter() - start

    prefill(16)  # warm-up
    speeds = {f"prefill_{count}": count / best_seconds(prefill, count) for count in (128, 512)}
    return speeds | {"decode_128": 128 / best_seconds(decode)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("threads", type=int)
    parser.add_argument("--logits", type=Path)
    parser.add_argument("--ids", nargs="+", type=int, help="token ids of the prompt for --logits")
    options = parser.parse_args()
    start = time.perf_counter()
    peer = Peer(options.model, options.threads)
    load = time.perf_counter() - start
    if options.logits:
        peer.decode(options.ids)
        options.logits.write_bytes(peer.logits().tobytes())
        return
    peer.decode([1])
    peer.logits()
    first = time.perf_counter() - start
    print(json.dumps({"load_ms": 1000 * load, "first_token_ms": 1000 * first, **measure(peer)}))


if __name__ == "__main__":
    main()
