"""`python benchmarks/llama_cpp_peer.py MODEL.gguf THREADS`: what `lai --bench` measures, of llama.cpp.

It stands in a process of its own, as the engine does. What Python adds to a token, some microseconds, is left in.
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

    def forget(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)

    def read(self, tokens: list[int]) -> None:
        """Read tokens and make the logits of the last one."""
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
    """Tokens a second, under the names of `lai --bench --json`."""
    tokens = [4 + i % (peer.vocab_size - 4) for i in range(512)]

    def read(count: int) -> float:
        peer.forget()
        start = time.perf_counter()
        peer.read(tokens[:count])
        peer.logits()
        return time.perf_counter() - start

    def write() -> float:
        peer.forget()
        peer.read(tokens[:128])
        start = time.perf_counter()
        for token in tokens[:128]:
            peer.read([token])
            llama_cpp.llama_get_logits_ith(peer.context, -1)
        return time.perf_counter() - start

    read(16)  # what is set up at the first use
    speeds = {f"read_{count}": count / best_seconds(read, count) for count in (128, 512)}
    return speeds | {"write_128": 128 / best_seconds(write)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("threads", type=int)
    parser.add_argument("--logits", type=Path)
    parser.add_argument("--ids", nargs="+", type=int, help="of the prompt whose last logits are written")
    options = parser.parse_args()
    start = time.perf_counter()
    peer = Peer(options.model, options.threads)
    load = time.perf_counter() - start
    if options.logits:
        peer.read(options.ids)
        options.logits.write_bytes(peer.logits().tobytes())
        return
    peer.read([1])
    peer.logits()
    first = time.perf_counter() - start
    print(json.dumps({"load_ms": 1000 * load, "first_token_ms": 1000 * first, **measure(peer)}))


if __name__ == "__main__":
    main()
