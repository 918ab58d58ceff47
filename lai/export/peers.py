"""Other programs that read an export: llama.cpp and transformers, each in a process of its own.

So neither its messages nor an abort of its native code reach the run that exports.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lai.export.packages import installed
from lai.host.errors import UserError
from lai.tokenizer.bpe import FIRST_BYTE

_SECONDS = 600
LLAMA_CPP, TRANSFORMERS = "xllamacpp", "transformers"
"""The packages by which they are reached."""


def ask(package: str, path: Path, questions: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the program makes of an exported file or folder; None where it is not installed.

    Args:
        questions: `texts`, `chats` and `prefixes` as `lai.export.agreement.Questions` has them.

    Returns:
        `program`, `texts`, `chats` and `logits` as `lai.export.agreement.Answers` has them.

    Raises:
        UserError: the program does not read the file.
    """
    if not all(map(installed, (package, *_BESIDE[package]))):
        return None
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps(questions), encoding="utf-8")
        command = [sys.executable, "-m", __name__, package, str(path), str(request), str(answer)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"}
        try:
            ended = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise UserError(f"{package} does not end within {_SECONDS} s of reading {path}") from None
        if ended.returncode or not answer.exists():
            lines = ended.stderr.decode(errors="replace").strip().splitlines() or [f"status {ended.returncode}"]
            raise UserError(f"{package} {installed(package)} does not read {path.name}: {lines[-1][:300]}")
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return found


class LlamaCpp:
    """llama.cpp's server in this process, on a port of this machine alone; results are exact where the file is f32."""

    def __init__(self, path: Path | str, context: int = 0) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = context
        parameters.n_parallel = 1
        parameters.n_gpu_layers = 0
        parameters.warmup = parameters.fit_params = False
        parameters.verbosity = -1
        # Otherwise its cache and its attention hold keys and values as f16.
        parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        parameters.flash_attn_type = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._server = xllamacpp.Server(parameters)
        # Its end sometimes waits for ever (xllamacpp 2026.10.11549), so it has none: the process ends without it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._server))

    def post(self, address: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of its HTTP interface."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            self._server.listening_address + address, data, {"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def encode(self, text: str) -> list[int]:
        """The ids of a text, in which tags are literal."""
        body = {"content": text, "add_special": False, "parse_special": False}
        return list(self.post("/tokenize", body)["tokens"])

    def encode_chat(self, messages: list[dict[str, str]]) -> list[int]:
        """The ids of a conversation by the file's template, up to the opening of the answer."""
        prompt = self.post("/apply-template", {"messages": messages})["prompt"]
        return list(self.post("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"])

    def continue_greedily(self, prompt: list[int], tokens: int) -> list[int]:
        """The ids that follow a prompt, the likeliest each time, up to the end of an answer."""
        body = {"prompt": prompt, "n_predict": tokens, "temperature": 0.0, "return_tokens": True, "cache_prompt": False}
        return list(self.post("/completion", body)["tokens"])

    def predict(self, prefix: list[int], vocab_size: int) -> list[float]:
        """The logarithm of each token's probability behind a prefix."""
        # The result has probabilities only with a text, so a letter is chosen; they are those before the bias.
        letters = [[FIRST_BYTE + letter, 1e4] for letter in range(ord("a"), ord("z") + 1)]
        body = {"prompt": prefix, "n_predict": 1, "n_probs": vocab_size, "cache_prompt": False, "logit_bias": letters}
        (found,) = self.post("/completion", body)["completion_probabilities"]
        values = [float("-inf")] * vocab_size
        for entry in found["top_logprobs"]:
            values[entry["id"]] = entry["logprob"]
        return values


def _ask_llama_cpp(path: str, questions: Mapping[str, Any]) -> dict[str, Any]:

    server = LlamaCpp(path)
    return {
        "program": f"llama.cpp (xllamacpp {installed(LLAMA_CPP)})",
        "texts": [server.encode(text) for text in questions["texts"]],
        "chats": [server.encode_chat(_messages(chat)) for chat in questions["chats"]],
        "logits": [server.predict(prefix, questions["vocab_size"]) for prefix in questions["prefixes"]],
    }


def _ask_transformers(path: str, questions: Mapping[str, Any]) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.inference_mode():
        rows = [model(torch.tensor([prefix])).logits[0, -1].log_softmax(0) for prefix in questions["prefixes"]]
    return {
        "program": f"transformers {installed(TRANSFORMERS)}",
        "texts": [
            tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            for text in questions["texts"]
        ],
        "chats": [
            tokenizer.apply_chat_template(_messages(chat), add_generation_prompt=True, return_dict=False)
            for chat in questions["chats"]
        ],
        "logits": [row.tolist() for row in rows],
    }


_ASK: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    LLAMA_CPP: _ask_llama_cpp,
    TRANSFORMERS: _ask_transformers,
}
_BESIDE = {LLAMA_CPP: (), TRANSFORMERS: ("tokenizers", "jinja2")}
"""What each needs beside itself to answer."""


def _messages(chat: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in chat]


def _main() -> None:
    package, path, request, answer = sys.argv[1:]
    found = _ASK[package](path, json.loads(Path(request).read_text(encoding="utf-8")))
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    _main()
