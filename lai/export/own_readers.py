"""Our own readers of GGUF files and Hugging Face folders, which prove an export where the other program is missing.

They read what is in the files, not what was meant to be: the tokenizers here follow llama.cpp's and tokenizers' rules,
the weights go into LAi's network. They are written for clarity; a text of n characters takes n² steps.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lai.export import quantize
from lai.export.agreement import Answers, Questions, predictions
from lai.export.gguf import neighbours, tensor_names
from lai.export.gguf_vocab import BYTE, CONTROL, UNKNOWN
from lai.export.huggingface import their_name
from lai.export.lai_file import tensor_shapes
from lai.export.safetensors_file import read_safetensors
from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.bpe import WORD_MARK

Encode = Callable[[str], list[int]]


def read_gguf(path: Path, questions: Questions) -> Answers:
    """The answers by a GGUF file's own content."""
    import gguf

    file = gguf.GGUFReader(path)
    values = {name: field.contents() for name, field in file.fields.items()}
    shape = {name: values[f"llama.{theirs}"] for name, theirs in _GGUF_SHAPE.items()}
    tensors = {tensor.name: tensor for tensor in file.tensors}
    config = ModelConfig(**shape, tie_embeddings="output.weight" not in tensors)
    weights = {}
    for ours, theirs in tensor_names(config):
        tensor = tensors[theirs]
        dtype = gguf.GGMLQuantizationType(tensor.tensor_type).name.lower()
        values_of = _decoded(tensor.data.tobytes(), tuple(map(int, reversed(tensor.shape))), dtype)
        weights[ours] = neighbours(config, ours, values_of, back=True)
    names, kinds = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    pieces = _Pieces(names, [kind in (CONTROL, UNKNOWN) for kind in kinds])
    pieces.bytes = {int(name[3:5], 16): n for n, name in enumerate(names) if kinds[n] == BYTE}
    scores = values["tokenizer.ggml.scores"]

    def priority(left: str, right: str) -> float | None:
        index = pieces.ids.get(left + right)
        return None if index is None else -scores[index]

    def encode(text: str) -> list[int]:
        return pieces.encode(text.replace(" ", WORD_MARK), priority)

    return _answers(questions, encode, pieces, config, weights)


def read_huggingface(path: Path, questions: Questions) -> Answers:
    """The answers by a folder's own content."""
    found = _json(path / "config.json")
    shape = {name: found[theirs] for name, theirs in _FOLDER_SHAPE.items()}
    config = ModelConfig(**shape, rope_theta=found["rope_parameters"]["rope_theta"])
    stored, _ = read_safetensors(path / "model.safetensors")
    weights = {
        name: stored[their_name(name)].float()
        for name, _ in tensor_shapes(config)
        if not (config.tie_embeddings and name == "output.weight")
    }
    content = _json(path / "tokenizer.json")
    names = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    special = {token["id"] for token in content["added_tokens"]}
    pieces = _Pieces(names, [index in special for index in range(len(names))])
    pieces.bytes = {byte: pieces.ids[name] for byte in range(256) if (name := f"<0x{byte:02X}>") in pieces.ids}
    ranks = {(left, right): rank for rank, (left, right) in enumerate(content["model"]["merges"])}

    def encode(text: str) -> list[int]:
        return pieces.encode(text, lambda left, right: ranks.get((left, right)))

    return _answers(questions, encode, pieces, config, weights)


_GGUF_SHAPE = {
    "dim": "embedding_length",
    "hidden_dim": "feed_forward_length",
    "n_layers": "block_count",
    "n_heads": "attention.head_count",
    "n_kv_heads": "attention.head_count_kv",
    "vocab_size": "vocab_size",
    "max_seq_len": "context_length",
    "rope_theta": "rope.freq_base",
    "norm_eps": "attention.layer_norm_rms_epsilon",
}
_FOLDER_SHAPE = {
    "dim": "hidden_size",
    "hidden_dim": "intermediate_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "vocab_size": "vocab_size",
    "max_seq_len": "max_position_embeddings",
    "norm_eps": "rms_norm_eps",
    "activation": "hidden_act",
    "tie_embeddings": "tie_word_embeddings",
}


class _Pieces:
    """Names of tokens, and the merging of a text's characters to them."""

    def __init__(self, names: Sequence[str], is_special: Sequence[bool]) -> None:
        self.ids = {name: index for index, name in enumerate(names)}
        self.special = {name: index for name, index in self.ids.items() if is_special[index]}
        self.bytes: dict[int, int] = {}

    def encode(self, text: str, priority: Callable[[str, str], float | None]) -> list[int]:
        """Join the two neighbours of the lowest priority, the leftmost of equals, until no two have one."""
        pieces = list(text)
        while True:
            found = [
                (rank, place)
                for place in range(len(pieces) - 1)
                if (rank := priority(pieces[place], pieces[place + 1])) is not None
            ]
            if not found:
                break
            _, place = min(found)
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return [index for piece in pieces for index in self._ids_of(piece)]

    def _ids_of(self, piece: str) -> list[int]:
        if piece in self.ids:
            return [self.ids[piece]]
        return [self.bytes[byte] for byte in piece.encode()]


def _answers(
    questions: Questions, encode: Encode, pieces: _Pieces, config: ModelConfig, weights: dict[str, Tensor]
) -> Answers:
    network = Transformer(config)
    network.load_state_dict(weights, assign=True)
    special = pieces.special

    def encode_chat(chat: Sequence[tuple[str, str]]) -> list[int]:
        ids = [special["<bos>"]]
        for role, text in chat:
            ids += [special[f"<{role}>"], *encode(text), special[f"</{role}>"]]
        return [*ids, special["<assistant>"]]

    return Answers(
        "LAi's own reader",
        [encode(text) for text in questions.texts],
        [encode_chat(chat) for chat in questions.chats],
        predictions(network.eval(), questions.prefixes),
    )


def _decoded(data: bytes, shape: tuple[int, ...], dtype: str) -> Tensor:
    if dtype == "bf16":
        return torch.frombuffer(bytearray(data), dtype=torch.bfloat16).float().reshape(shape)
    return torch.from_numpy(np.array(quantize.decode(data, shape, dtype)))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
