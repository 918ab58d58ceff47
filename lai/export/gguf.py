"""A model as a GGUF file of llama.cpp's `llama` architecture, with its vocabulary and where it comes from.

The matrices have the bytes that a model file of the same dtype has: the quantizers agree to the bit. llama.cpp's own
program would write a tied embedding of a Q4_0 file as Q8_0 or Q6_K; here it stays Q4_0, which is smaller.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lai.export import quantize
from lai.export.chat_template import CHAT_TEMPLATE
from lai.export.checkpoint import Checkpoint
from lai.export.gguf_vocab import gguf_tokens
from lai.export.lai_file import stored_weights, tensor_shapes
from lai.export.packages import needed
from lai.export.tensor_names import gguf_name
from lai.host.errors import UserError
from lai.model.lineage import entries, licences
from lai.model.transformer import ModelConfig
from lai.tokenizer.vocab import Vocab

DTYPES = ("f32", "f16", "bf16", "q8_0", "q4_0")
MANIFEST_KEY, TRAINING_KEY = "general.lai.manifest", "general.lai.training"
"""Where the run's manifest and the record of training stand, each as JSON."""
VOCAB_KEY = "tokenizer.lai.vocab"
"""Where LAi's own vocabulary stands, which the tokens as llama.cpp reads them do not hold wholly."""


def check_gguf(activation: str, dtype: str) -> None:
    """Refuse what a GGUF file of this architecture cannot hold.

    Raises:
        UserError: the activation is not SiLU, the dtype is unknown, or the package `gguf` is not installed.
    """
    if activation != "silu":
        raise UserError(
            f"the architecture llama of GGUF files has SiLU, this model has {activation}; --format hf or lai holds it"
        )
    if dtype not in DTYPES:
        raise UserError(f"a GGUF file of LAi holds no {dtype}; its dtypes are {', '.join(DTYPES)}")
    needed("gguf")


def write_gguf(path: Path, model: Checkpoint, dtype: str = "f32", name: str = "") -> None:
    """Write a GGUF file; `path` may be left half written by an error.

    Args:
        name: the model's name for people.

    Raises:
        UserError: as `check_gguf` and `gguf_vocab.gguf_tokens`, or a weight does not fit into the dtype.
    """
    check_gguf(model.config.activation, dtype)
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    try:
        _add_provenance(writer, model, dtype, name)
        _add_shape(writer, model.config)
        _add_vocab(writer, model.vocab)
        for ours, weights in stored_weights(model.config, model.weights):
            kind = dtype if weights.ndim == 2 else "f32"
            _add_tensor(writer, gguf_name(ours), neighbours(model.config, ours, weights), kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def are_equal(first: Path, second: Path) -> bool:
    """Whether two files hold the same but for the manifest and what is filled from it."""
    import gguf

    def content(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
        file = gguf.GGUFReader(path)
        kept = {name: field.contents() for name, field in file.fields.items() if not name.startswith("general.")}
        return kept, {tensor.name: tensor.data.tobytes() for tensor in file.tensors}

    try:
        return bool(content(first) == content(second))
    except Exception:  # a damaged file is another one
        return False


def tensor_names(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Our names of the tensors, and theirs; without `output.weight` llama.cpp takes the embedding for it."""
    for ours, _ in tensor_shapes(config):
        if not (ours == "output.weight" and config.tie_embeddings):
            yield ours, gguf_name(ours)


def neighbours(config: ModelConfig, name: str, weights: Tensor, *, back: bool = False) -> Tensor:
    """A tensor; rows of queries and keys in the order in which rotary pairs are neighbours, as `llama` has them.

    Args:
        back: the tensor is in their order, and comes back in ours.
    """
    if not name.endswith(("wq.weight", "wk.weight")):
        return weights
    half = config.head_dim // 2
    pairs = weights.reshape(-1, *((half, 2) if back else (2, half)), weights.shape[1])
    return pairs.transpose(1, 2).reshape(weights.shape)


def _add_tensor(writer: Any, name: str, weights: Tensor, dtype: str) -> None:
    import gguf

    kinds = gguf.GGMLQuantizationType
    try:
        raw = encoded(weights, dtype)
    except ValueError as error:
        raise UserError(f"{name} cannot be written as {dtype}: {error}") from None
    writer.add_tensor(name, raw.reshape(*weights.shape[:-1], -1), raw_dtype=getattr(kinds, dtype.upper()))


def encoded(weights: Tensor, dtype: str) -> NDArray[Any]:
    """The bytes of a tensor in a dtype of GGUF files, a row of bytes for each row.

    Raises:
        ValueError: as `quantize.encode`.
    """
    import numpy as np

    if dtype == "bf16":
        return weights.to(torch.bfloat16).view(torch.uint8).numpy()
    return np.frombuffer(quantize.encode(weights.numpy(), dtype), np.uint8)


def _add_shape(writer: Any, config: ModelConfig) -> None:
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


def _add_vocab(writer: Any, vocab: Vocab) -> None:
    tokens = gguf_tokens(vocab)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token.text for token in tokens])
    writer.add_token_scores([token.score for token in tokens])
    writer.add_token_types([token.kind for token in tokens])
    # What is left out has a default that is wrong here: the unknown token 0, and a space put before each text.
    writer.add_bos_token_id(Vocab.BOS)
    writer.add_eos_token_id(Vocab.EOS)
    writer.add_eot_token_id(vocab.tag_id(b"</assistant>"))
    writer.add_unk_token_id(Vocab.UNK)
    writer.add_pad_token_id(Vocab.PAD)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    writer.add_array(VOCAB_KEY, vocab.to_bytes())


def _add_provenance(writer: Any, model: Checkpoint, dtype: str, name: str) -> None:
    import gguf

    manifest = model.manifest or {}
    files = gguf.LlamaFileType
    kinds = {"f32": files.ALL_F32, "f16": files.MOSTLY_F16, "bf16": files.MOSTLY_BF16}
    kinds |= {"q8_0": files.MOSTLY_Q8_0, "q4_0": files.MOSTLY_Q4_0}
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_file_type(kinds[dtype])
    if dtype in ("q8_0", "q4_0"):
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if name:
        writer.add_name(name)
    parameters, _ = model.config.parameter_counts()
    writer.add_size_label(_size_label(parameters))
    data = [entry for entry in entries(manifest, "data") if entry.get("name")]
    if known := licences(manifest):
        writer.add_license(", ".join(known))
    if data:
        writer.add_dataset_count(len(data))
    for number, entry in enumerate(data):
        writer.add_dataset_name(number, str(entry["name"]))
        if entry.get("sha256"):
            writer.add_dataset_version(number, str(entry["sha256"]))
    commit = manifest.get("commit")
    if isinstance(commit, dict) and commit.get("hash"):
        writer.add_version(str(commit["hash"]))
    writer.add_string(MANIFEST_KEY, json.dumps(manifest, ensure_ascii=False))
    writer.add_string(TRAINING_KEY, json.dumps(model.training.to_dict(), sort_keys=True))


def _size_label(parameters: int) -> str:
    """A number of parameters as `general.size_label` has it: 124K, 1.8M."""
    for factor, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= factor:
            return f"{parameters / factor:.{0 if parameters >= 10 * factor else 1}f}{letter}"
    return str(parameters)
