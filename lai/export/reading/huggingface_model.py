"""A folder of Hugging Face's transformers with a `LlamaForCausalLM`, LAi's own or another program's, as a model."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from lai.export.huggingface import MANIFEST_KEY, TRAINING_KEY, VOCAB_FILE
from lai.export.reading.stored import StoredModel, check_finite, check_names, check_room, shapes, shown, training_of
from lai.export.safetensors_file import StoredTensor, read_header, read_tensor
from lai.export.tensor_names import huggingface_name
from lai.host.errors import UserError
from lai.host.files import open_regular, read_json
from lai.model.manifest import from_json
from lai.model.transformer import ModelConfig
from lai.tokenizer.vocab import Vocab

_SIZES = {
    "dim": "hidden_size",
    "hidden_dim": "intermediate_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "vocab_size": "vocab_size",
    "max_seq_len": "max_position_embeddings",
}
_DEFAULTS: dict[str, Any] = {  # of transformers, which need not stand in a file
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
_ABSENT = {  # what LAi's network has not, and the values that say so
    "attention_bias": (None, False),
    "mlp_bias": (None, False),
    "sliding_window": (None,),
    "partial_rotary_factor": (None, 1.0),
    "quantization_config": (None,),
}
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_MAX_SHARDS = 1000


def read_huggingface_model(path: Path) -> StoredModel:
    """Read a folder: `config.json`, and `model.safetensors` or the shards that its index names.

    Raises:
        UserError: a file is missing, truncated or damaged, or LAi's network cannot hold the model.
    """
    name = str(path)
    settings = _json(path / "config.json")
    config = _config(settings, f"{name}/config.json")
    with ExitStack() as stack:
        weights, dtype, metadata = _weights(path, config, stack)
    manifest = from_json(metadata[MANIFEST_KEY].encode(), name) if MANIFEST_KEY in metadata else None
    training = training_of(metadata.get(TRAINING_KEY))
    vocab = _vocab(path, config)
    return StoredModel(path, "Hugging Face folder", dtype, config, weights, vocab, training, manifest=manifest or None)


def _config(settings: Mapping[str, Any], name: str) -> ModelConfig:
    if (kind := settings.get("model_type")) != "llama":
        raise UserError(f"{name} has model_type {shown(kind)}; LAi's network holds 'llama'")
    for key, accepted in _ABSENT.items():
        if (found := settings.get(key)) not in accepted:
            raise UserError(f"{name} has {key} {shown(found)}; LAi's network has none")
    defaults = _DEFAULTS | {"num_key_value_heads": settings.get("num_attention_heads")}
    settings = defaults | {key: value for key, value in settings.items() if value is not None}
    sizes = {ours: _number(settings, theirs, name, int) for ours, theirs in _SIZES.items()}
    tied = settings["tie_word_embeddings"]
    if not isinstance(tied, bool):
        raise UserError(f"{name} has tie_word_embeddings {shown(tied)}; expected true or false")
    try:
        config = ModelConfig(
            **sizes,
            n_kv_heads=_number(settings, "num_key_value_heads", name, int),
            rope_theta=_rope_theta(settings, name),
            norm_eps=_number(settings, "rms_norm_eps", name, int, float),
            activation=settings["hidden_act"],
            tie_embeddings=tied,
        )
    except UserError as error:
        raise UserError(f"{name} does not suit LAi's network: {error}") from None
    if (found := settings.get("head_dim")) not in (None, config.head_dim):
        raise UserError(f"{name} has head_dim {shown(found)}; LAi's network has dim / n_heads, {config.head_dim}")
    return config


def _rope_theta(settings: Mapping[str, Any], name: str) -> float:
    """The base of the rotary positions: version 5 writes it into `rope_parameters`, version 4 beside it."""
    found = []
    for key in ("rope_parameters", "rope_scaling"):
        parameters = settings.get(key)
        if parameters is None:
            continue
        if not isinstance(parameters, dict):
            raise UserError(f"{name} has {key} {shown(parameters)}; expected an object")
        kind = parameters.get("rope_type", parameters.get("type", "default"))
        if kind != "default" or parameters.get("partial_rotary_factor", 1.0) != 1.0:
            raise UserError(f"{name} has {key} of the type {shown(kind)}; LAi's network has 'default', no scaling")
        if parameters.get("rope_theta") is not None:
            found.append(_number(parameters, "rope_theta", f"{name}: {key}", int, float))
    if settings.get("rope_theta") is not None:
        found.append(_number(settings, "rope_theta", name, int, float))
    if len({*found}) > 1:
        raise UserError(f"{name} has rope_theta {' and '.join(map(str, found))}; expected one number")
    return float(found[0]) if found else 10000.0


def _number(settings: Mapping[str, Any], key: str, name: str, *kinds: type) -> Any:
    found = settings.get(key)
    if type(found) not in kinds or not abs(found) < 1e40:  # type: ignore[arg-type]
        raise UserError(f"{name} has {key} {shown(found)}; expected a number")
    return found


def _weights(path: Path, config: ModelConfig, stack: ExitStack) -> tuple[dict[str, Tensor], str, dict[str, str]]:
    """The weights as float32, the dtype of the embedding, and the metadata; files stay open on `stack`."""
    found: dict[str, tuple[IO[bytes], StoredTensor]] = {}
    metadata: dict[str, str] = {}
    for file_name, listed in _files(path).items():
        file = stack.enter_context(open_regular(path / file_name))
        places, own = read_header(file, f"{path}/{file_name}")
        metadata |= own
        if listed is not None and (missing := sorted(listed - places.keys())):
            raise UserError(f"{path}/{file_name} has no {missing[0][:80]}, which {_INDEX} puts there")
        for tensor, place in places.items():
            if tensor in found:
                raise UserError(f"{path} has {tensor[:80]} in two files; it is damaged")
            found[tensor] = file, place
    # Tables that early versions stored; they follow from the settings.
    found = {name: entry for name, entry in found.items() if not name.endswith("rotary_emb.inv_freq")}
    expected = {huggingface_name(ours): shape for ours, shape in shapes(config).items()}
    found_shapes = {tensor: place.shape for tensor, (_, place) in found.items()}
    head, embedding = huggingface_name("output.weight"), huggingface_name("token_embed.weight")
    is_doubled = config.tie_embeddings and head in found_shapes
    check_names(str(path), expected | ({head: expected[embedding]} if is_doubled else {}), found_shapes)
    check_room(config, str(path))
    weights = {}
    for ours in shapes(config):
        weights[ours] = _weight(path, huggingface_name(ours), found).float()
        check_finite(str(path), huggingface_name(ours), weights[ours])
    if is_doubled and not _weight(path, head, found).float().equal(weights["token_embed.weight"]):
        raise UserError(f"{path} says tie_word_embeddings true, and its {head} differs from {embedding}")
    dtype = {"F32": "f32", "F16": "f16", "BF16": "bf16"}[found[embedding][1].dtype]
    return weights, dtype, metadata


def _weight(path: Path, tensor: str, found: Mapping[str, tuple[IO[bytes], StoredTensor]]) -> Tensor:
    file, place = found[tensor]
    return read_tensor(file, f"{path}: {tensor}", place)


def _files(path: Path) -> dict[str, set[str] | None]:
    """The files of the weights; of shards also the tensors that the index puts into each."""
    if (path / _WEIGHTS).exists():
        return {_WEIGHTS: None}
    if not (path / _INDEX).exists():
        other = next((file.name for file in sorted(path.glob("*")) if file.suffix in (".bin", ".pt", ".pth")), None)
        hint = f"; {other} may hold code, convert it with transformers first" if other and other != VOCAB_FILE else ""
        raise UserError(f"{path} has no {_WEIGHTS}{hint}")
    places = _json(path / _INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise UserError(f"{path}/{_INDEX} has no weight_map of tensors and files; it is damaged")
    files: dict[str, set[str] | None] = {}
    for tensor, file in places.items():
        if file in ("", ".", "..") or "/" in file or "\\" in file or "\0" in file or not file.endswith(".safetensors"):
            raise UserError(f"{path}/{_INDEX} names the file {file[:80]!r}; expected a .safetensors file beside it")
        listed = files.setdefault(file, set())
        assert listed is not None
        listed.add(tensor)
    if len(files) > _MAX_SHARDS:
        raise UserError(f"{path}/{_INDEX} names {len(files):,} files; expected at most {_MAX_SHARDS:,}")
    return files


def _vocab(path: Path, config: ModelConfig) -> Vocab | None:
    """LAi's own vocabulary, where the folder has it; `tokenizer.json` must name the same tokens."""
    if not (path / VOCAB_FILE).exists():
        return None
    vocab = Vocab.load(path / VOCAB_FILE)
    if len(vocab) != config.vocab_size:
        raise UserError(f"{path}: config.json says {config.vocab_size} tokens, {VOCAB_FILE} holds {len(vocab)}")
    if (path / "tokenizer.json").exists():
        from lai.export.tokenizer_json import tokenizer_json

        model = _json(path / "tokenizer.json").get("model")
        if not isinstance(model, dict) or model.get("vocab") != tokenizer_json(vocab)["model"]["vocab"]:
            raise UserError(f"{path}: {VOCAB_FILE} and tokenizer.json disagree; one of them was changed")
    return vocab


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return found
