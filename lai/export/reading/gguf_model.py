"""A GGUF file of the architecture `llama`, LAi's own or another program's, as a model."""

from pathlib import Path
from typing import IO, Any

from lai.export.gguf import MANIFEST_KEY, TRAINING_KEY, VOCAB_KEY, neighbours, tensor_names
from lai.export.gguf_vocab import gguf_tokens
from lai.export.reading.gguf_content import GgufContent, read_content, read_tensor
from lai.export.reading.stored import StoredModel, check_finite, check_names, check_room, shapes, shown, training_of
from lai.host.errors import UserError
from lai.host.files import open_regular
from lai.model.manifest import from_json
from lai.model.transformer import ModelConfig
from lai.tokenizer.vocab import Vocab

_SIZES = {
    "dim": "embedding_length",
    "hidden_dim": "feed_forward_length",
    "n_layers": "block_count",
    "n_heads": "attention.head_count",
    "max_seq_len": "context_length",
}
_FIXED = {  # what LAi's network has; each may be missing
    "llama.rope.scaling.type": "none",
    "llama.rope.scaling.factor": 1.0,
    "llama.rope.scale_linear": 1.0,
    "llama.expert_count": 0,
    "llama.attention.sliding_window": 0,
    "split.count": 1,
}


def read_gguf_model(path: Path) -> StoredModel:
    """Read a GGUF file.

    Raises:
        UserError: it cannot be read, is truncated or damaged, or LAi's network cannot hold its model.
    """
    name = str(path)
    with open_regular(path, "the GGUF file") as file:
        content = read_content(file, name)
        config = _config(content, name)
        weights = _weights(file, content, config, name)
    values = content.values
    manifest = values.get(MANIFEST_KEY)
    told = from_json(manifest.encode(), name) if isinstance(manifest, str) else None
    matrices = sorted({place.dtype for place in content.places.values() if len(place.shape) == 2})
    return StoredModel(
        path,
        "GGUF file",
        ", ".join(matrices),
        config,
        weights,
        _vocab(content, config, name),
        training_of(values.get(TRAINING_KEY)),
        manifest=told or None,
    )


def _config(content: GgufContent, name: str) -> ModelConfig:
    values = content.values
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or architecture != "llama":
        raise UserError(f"{name} has the architecture {shown(architecture)}; LAi's network holds 'llama'")
    for key, expected in _FIXED.items():
        found = values.get(key, expected)
        if not isinstance(found, int | float | str) or found != expected:
            raise UserError(f"{name} has {key} {shown(found)}; LAi's network has {expected!r}")
    if "rope_freqs.weight" in content.places:
        raise UserError(f"{name} has rope_freqs.weight, a scaling of rotary positions that LAi's network has not")

    def number(key: str, default: Any = None) -> Any:
        found = values.get(f"llama.{key}", default)
        if type(found) not in (int, float):
            raise UserError(f"{name} has llama.{key} {shown(found)}; expected a number")
        return found

    sizes = {ours: number(theirs) for ours, theirs in _SIZES.items()}
    embedding = content.places.get("token_embd.weight")
    if embedding is None:
        raise UserError(f"{name} has no token_embd.weight; it is not whole")
    config = _made(
        name,
        **sizes,
        n_kv_heads=number("attention.head_count_kv", sizes["n_heads"]),
        vocab_size=number("vocab_size", embedding.shape[0]),
        rope_theta=float(number("rope.freq_base", 10000.0)),
        norm_eps=float(number("attention.layer_norm_rms_epsilon")),
        tie_embeddings="output.weight" not in content.places,
    )
    for key in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
        if (found := number(key, config.head_dim)) != config.head_dim:
            raise UserError(f"{name} has llama.{key} {found}; LAi's network has dim / n_heads, {config.head_dim}")
    return config


def _made(name: str, **settings: Any) -> ModelConfig:
    try:
        return ModelConfig(**settings)
    except UserError as error:
        raise UserError(f"{name} has impossible settings: {error}") from None


def _weights(file: IO[bytes], content: GgufContent, config: ModelConfig, name: str) -> dict[str, Any]:
    names, expected = dict(tensor_names(config)), shapes(config)
    found = {tensor: place.shape for tensor, place in content.places.items()}
    check_names(name, {theirs: expected[ours] for ours, theirs in names.items()}, found)
    check_room(config, name)
    weights = {}
    for ours, theirs in names.items():
        tensor = read_tensor(file, content.places[theirs])
        check_finite(name, theirs, tensor)
        weights[ours] = neighbours(config, ours, tensor, back=True).contiguous()
    return weights


def _vocab(content: GgufContent, config: ModelConfig, name: str) -> Vocab | None:
    stored = content.values.get(VOCAB_KEY)
    if stored is None:
        return None
    vocab = Vocab.from_bytes(getattr(stored, "tobytes", bytes)(), name)
    if len(vocab) != config.vocab_size:
        raise UserError(f"{name}: its settings say {config.vocab_size} tokens, its vocabulary holds {len(vocab)}")
    if [token.text for token in gguf_tokens(vocab)] != content.values.get("tokenizer.ggml.tokens"):
        raise UserError(f"{name}: {VOCAB_KEY} and tokenizer.ggml.tokens disagree; one of them was changed")
    return vocab
