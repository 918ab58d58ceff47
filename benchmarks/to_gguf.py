"""Writes a model file's weights, byte for byte, as a GGUF file of llama.cpp's `llama` architecture."""

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from lai.export import quantize
from lai.export.lai_file import ModelFile, read_model

_TYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
}
_IN_A_LAYER = {
    "attn_q": "attn.wq",
    "attn_k": "attn.wk",
    "attn_v": "attn.wv",
    "attn_output": "attn.wo",
    "ffn_gate": "ffn.w_gate",
    "ffn_up": "ffn.w_up",
    "ffn_down": "ffn.w_down",
    "attn_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
}


def to_gguf(model: Path, path: Path) -> None:
    """Write `model` as GGUF, without its vocabulary: the benchmark gives ids to both programs."""
    source = read_model(model)
    config = source.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_seq_len)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.hidden_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_tokenizer_model("none")
    for name, theirs in _names(config.n_layers, config.tie_embeddings).items():
        _add(writer, theirs, _neighbours(source, name), source.dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _names(n_layers: int, tied: bool) -> dict[str, str]:
    """Our names of the tensors, and theirs."""
    names = {"token_embed.weight": "token_embd.weight", "final_norm.weight": "output_norm.weight"}
    if not tied:
        names["output.weight"] = "output.weight"
    for layer in range(n_layers):
        names |= {
            f"layers.{layer}.{ours}.weight": f"blk.{layer}.{theirs}.weight" for theirs, ours in _IN_A_LAYER.items()
        }
    return names


def _neighbours(source: ModelFile, name: str) -> NDArray[np.float32]:
    """A tensor; rows of queries and keys in the order in which rotary pairs are neighbours, as `llama` has them."""
    weights = source.weights[name].numpy()
    if not name.endswith(("wq.weight", "wk.weight")):
        return weights
    head_dim = source.config.head_dim
    halves = weights.reshape(-1, 2, head_dim // 2, weights.shape[1])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def _add(writer: gguf.GGUFWriter, name: str, weights: NDArray[np.float32], dtype: str) -> None:
    kind = dtype if weights.ndim == 2 else "f32"
    raw = np.frombuffer(quantize.encode(weights, kind), np.uint8)
    writer.add_tensor(name, raw.reshape(*weights.shape[:-1], -1), raw_dtype=_TYPES[kind])
