"""A model as a folder for Hugging Face's transformers: weights, tokenizer, chat template, settings and a model card."""

import json
from pathlib import Path
from typing import Any

import torch

from lai.export.chat_template import CHAT_TEMPLATE
from lai.export.checkpoint import Checkpoint
from lai.export.lai_file import stored_weights
from lai.export.model_card import model_card
from lai.export.safetensors_file import read_safetensors, write_safetensors
from lai.export.tensor_names import huggingface_name
from lai.export.tokenizer_json import tokenizer_json
from lai.host.errors import UserError
from lai.inference.sampling import Sampling
from lai.model.transformer import ModelConfig
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.vocab import CONTROL_TOKENS, Vocab

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
MANIFEST_KEY, TRAINING_KEY = "lai.manifest", "lai.training"
"""Where the metadata of `model.safetensors` have the run's manifest and the record of training, each as JSON."""

VOCAB_FILE = "vocab.bin"
"""LAi's own vocabulary, beside `tokenizer.json`, which does not hold all of it."""


def check_huggingface(dtype: str) -> None:
    """Refuse what such a folder cannot hold.

    Raises:
        UserError: the dtype is none of safetensors'.
    """
    if dtype not in DTYPES:
        raise UserError(
            f"a Hugging Face folder holds no {dtype}; its dtypes are {', '.join(DTYPES)}, --format gguf or lai holds "
            f"{dtype}"
        )


def write_huggingface(folder: Path, model: Checkpoint, dtype: str = "f32", name: str = "") -> None:
    """Write the files into an empty folder.

    Args:
        name: as `write_gguf` takes it.

    Raises:
        UserError: as `check_huggingface` and `tokenizer_json`, or a weight does not fit into the dtype.
    """
    check_huggingface(dtype)
    vocab, end = model.vocab, model.vocab.tag_id(b"</assistant>")
    files = {
        "config.json": _config(model.config, end, dtype),
        "generation_config.json": _generation_config(end, model.config.max_seq_len),
        "tokenizer.json": tokenizer_json(vocab),
        "tokenizer_config.json": _tokenizer_config(model.config.max_seq_len),
    }
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (folder / VOCAB_FILE).write_bytes(vocab.to_bytes())
    _write_weights(folder / "model.safetensors", model, dtype)
    (folder / "README.md").write_text(model_card(model, dtype, name), encoding="utf-8")


def are_equal(first: Path, second: Path) -> bool:
    """Whether two folders hold the same but for the manifest and the model card."""

    def content(folder: Path) -> dict[str, Any]:
        files = {file.name: file for file in folder.iterdir() if file.name != "README.md"}
        weights = read_safetensors(files.pop("model.safetensors"))[0]
        return {name: file.read_bytes() for name, file in files.items()} | {
            name: weight.view(torch.uint8).numpy().tobytes() for name, weight in weights.items()
        }

    try:
        return content(first) == content(second)
    except (OSError, ValueError, KeyError, UserError):  # a damaged folder is another one
        return False


def _write_weights(path: Path, model: Checkpoint, dtype: str) -> None:
    tensors = {}
    for ours, weights in stored_weights(model.config, model.weights):
        # As in the other formats the norms stay f32: they are few, and matter to each number.
        stored = weights.to(DTYPES[dtype]) if weights.ndim == 2 else weights
        if not torch.isfinite(stored).all():
            raise UserError(f"{ours} cannot be written as {dtype}: a weight is too large for it")
        tensors[huggingface_name(ours)] = stored
    metadata = {
        "format": "pt",
        MANIFEST_KEY: json.dumps(model.manifest or {}, ensure_ascii=False),
        TRAINING_KEY: json.dumps(model.training.to_dict(), sort_keys=True),
    }
    write_safetensors(path, tensors, metadata)


def _config(config: ModelConfig, end: int, dtype: str) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_seq_len,
        "hidden_act": config.activation,
        "rms_norm_eps": config.norm_eps,
        # Version 5 reads the first, version 4 the second; where its own is missing, each takes 10,000 without a word.
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "rope_theta": config.rope_theta,
        # Without it a tied output matrix is drawn at random.
        "tie_word_embeddings": config.tie_embeddings,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "bos_token_id": Vocab.BOS,
        "eos_token_id": [Vocab.EOS, end],
        "pad_token_id": Vocab.PAD,
        "dtype": _NAMES[dtype],
        "torch_dtype": _NAMES[dtype],  # version 4's name of it
    }


def _generation_config(end: int, context: int) -> dict[str, Any]:
    sampling = Sampling()
    return {
        "bos_token_id": Vocab.BOS,
        "eos_token_id": [Vocab.EOS, end],
        "pad_token_id": Vocab.PAD,
        "do_sample": True,  # without it a temperature means nothing, and such a file cannot be saved again
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "repetition_penalty": sampling.repeat_penalty,
        "suppress_tokens": [Vocab.PAD, Vocab.BOS, Vocab.UNK],
        "max_new_tokens": min(256, max(1, context // 2)),
    }


def _tokenizer_config(context: int) -> dict[str, Any]:
    # `LlamaTokenizer` replaces the steps in tokenizer.json by its own; version 4 has no `TokenizersBackend`.
    # `split_special_tokens` is left out: it would split the template's own tags.
    pad, bos, eos, unk = (token.decode() for token in CONTROL_TOKENS)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": pad,
        "unk_token": unk,
        "additional_special_tokens": [tag.decode() for tag in CHAT_TAGS],
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
