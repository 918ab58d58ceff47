"""The model card, README.md: every figure comes from the model and the run's manifest."""

from collections.abc import Iterable, Mapping
from typing import Any

from lai.export.checkpoint import Checkpoint
from lai.model.lineage import entries, parents
from lai.tokenizer.chat import TO_HUNGARIAN

_FRONT = """---
library_name: transformers
pipeline_tag: text-generation
tags: [lai, llama]
---
"""

_USE = """## How to use it

In LAi, with the model file that the same run exports:

```sh
lai-generate -m {name}.bin -p "Hello, how are you?"
```

In llama.cpp, with the GGUF file that the same run exports. A chat ends at the token `</assistant>`:

```sh
llama-server -m {name}.gguf
```

In transformers, with this folder:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

chat = pipeline("text-generation", model="{folder}")
print(chat([{{"role": "user", "content": "Hello, how are you?"}}])[0]["generated_text"][-1]["content"])

# Text that a person typed is kept apart from the chat's tags:
tokenizer, model = AutoTokenizer.from_pretrained("{folder}"), AutoModelForCausalLM.from_pretrained("{folder}")
ids = tokenizer.apply_chat_template(
    [{{"role": "user", "content": "{request}the dog"}}],
    add_generation_prompt=True,
    sanitize_control_tokens=True,
    return_tensors="pt",
    return_dict=True,
)["input_ids"]
print(tokenizer.decode(model.generate(ids)[0, ids.shape[1] :], skip_special_tokens=True))
```

In mlx-lm, with this folder:

```sh
mlx_lm.generate --model {folder} --prompt "Hello, how are you?"
```

{folding}A conversation has an optional system turn and then user and assistant in turn; {turns}.

## Warnings

- Do not convert this folder to GGUF with llama.cpp's converter. It gives every token the same score, so that texts get
  other tokens, and says nothing. Take the GGUF file that LAi exports.
- Do not load the GGUF file with transformers. It puts a space before each text, whatever the file says. Take this
  folder.
"""


def model_card(model: Checkpoint, dtype: str, name: str = "") -> str:
    """The card as Markdown; what neither the model nor the manifest knows is left out.

    Args:
        dtype: of the matrices in the folder.
        name: the model's name; the files of the other formats have it, too.
    """
    name, manifest = name or "model", model.manifest or {}
    parts = [_FRONT, f"# {name}\n", _sizes(model, dtype)]
    parts += [_training(model, manifest), _stages(manifest), _data(manifest), _metrics(model, manifest)]
    folding = "" if model.training.unfolded else _FOLDING
    turns = f"the training text has up to {model.training.turns} questions" if model.training.turns > 1 else _ALONE
    request = TO_HUNGARIAN.decode()
    parts.append(_USE.format(name=name, folder=f"{name}.hf", request=request, folding=folding, turns=turns))
    return "\n".join(filter(None, parts))


_FOLDING = (
    "LAi folds what a person types: it drops invisible characters, joins letters and accents (NFC), and turns "
    "typographic quotes and dashes into those of a keyboard. Other programs do not; fold such text before.\n\n"
)
_ALONE = "ask each question alone"


def _sizes(model: Checkpoint, dtype: str) -> str:
    config = model.config
    parameters, _ = config.parameter_counts()
    return _table(
        ("", ""),
        [
            ("architecture", "llama (pre-norm decoder, rotary positions, gated feed-forward)"),
            ("parameters", f"{parameters:,}"),
            ("dim", config.dim),
            ("hidden_dim", config.hidden_dim),
            ("n_layers", config.n_layers),
            ("n_heads", config.n_heads),
            ("n_kv_heads", config.n_kv_heads),
            ("vocab_size", f"{config.vocab_size:,}"),
            ("context", f"{config.max_seq_len:,} tokens"),
            ("dtype", dtype),
        ],
    )


_OBJECTS = ("commit", "vocabulary")


def _training(model: Checkpoint, manifest: Mapping[str, Any]) -> str:
    commit, vocabulary = (found if isinstance(found := manifest.get(key), dict) else {} for key in _OBJECTS)
    dirty = ", with changes that are not committed" if commit.get("dirty") else ""
    tokens = manifest.get("tokens_seen") or model.training.tokens
    rows = [
        ("steps", _number(model.training.steps)),
        ("tokens seen", _number(tokens)),
        ("duration", _seconds(manifest.get("duration_s"))),
        ("seed", manifest.get("seed")),
        ("commit", commit.get("hash") and f"{commit['hash']}{dirty}"),
        ("vocabulary", vocabulary.get("sha256") and f"SHA-256 {vocabulary['sha256']}"),
        ("machine", _plain(manifest.get("machine"))),
        ("versions", _plain(manifest.get("versions"))),
    ]
    rows = [(label, value) for label, value in rows if value not in (None, "", {})]
    command = manifest.get("command")
    shown = "" if not command else "\n```sh\n" + str(command).replace("```", "` ` `") + "\n```\n"
    return f"## Training\n\n{_table(('', ''), rows)}{shown}" if rows or shown else ""


def _stages(manifest: Mapping[str, Any]) -> str:
    """The models whose weights this one has begun with, the last one first."""
    rows = [
        (
            stage.get("name"),
            _number(stage.get("steps")),
            _number(stage.get("tokens_seen")),
            _metric_line(stage.get("metrics")),
            stage.get("sha256"),
        )
        for stage in parents(manifest)
    ]
    head = ("begins with the weights of", "steps", "tokens seen", "metrics", "SHA-256")
    return "## Earlier stages\n\n" + _table(head, rows) if rows else ""


def _metric_line(metrics: Any) -> str:
    items = metrics.items() if isinstance(metrics, Mapping) else ()
    return ", ".join(f"{name} {value:.4f}" for name, value in items if isinstance(value, float))


def _data(manifest: Mapping[str, Any]) -> str:
    """The text of this run and of the stages before it, with their licences."""
    own = [("this run", entry) for key in ("data", "validation") for entry in entries(manifest, key)]
    earlier = [(stage.get("name"), entry) for stage in parents(manifest) for entry in entries(stage, "data")]
    rows = [
        (
            *([stage] if earlier else []),
            entry.get("name"),
            entry.get("licence") or "unknown",
            _number(entry.get("bytes")),
            entry.get("sha256"),
        )
        for stage, entry in own + earlier
    ]
    for stage in parents(manifest):
        if left_out := stage.get("data_left_out"):
            found = stage.get("licences")
            known = ", ".join(map(str, found)) if isinstance(found, list) else ""
            rows.append((stage.get("name"), f"{_number(left_out)} more", known or "unknown", None, None))
    head = (*(["stage"] if earlier else []), "data", "licence", "bytes", "SHA-256")
    return "## Data\n\n" + _table(head, rows) if rows else ""


def _metrics(model: Checkpoint, manifest: Mapping[str, Any]) -> str:
    metrics = dict(found) if isinstance(found := manifest.get("metrics"), dict) else {}
    if model.training.val_loss:
        metrics.setdefault("val/loss", model.training.val_loss)
    rows = [(name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in metrics.items()]
    return "## Metrics\n\n" + _table(("metric", "value"), rows) if rows else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table; a value of None is an empty cell."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split()).replace("|", "\\|")


def _number(value: Any) -> str | None:
    return f"{value:,}" if isinstance(value, int) and value else None


def _seconds(value: Any) -> str | None:
    if not isinstance(value, int | float):
        return None
    hours, rest = divmod(round(value), 3600)
    return f"{hours} h {rest // 60} min {rest % 60} s" if hours else f"{rest // 60} min {rest % 60} s"


def _plain(value: Any) -> str | None:
    """A value of the manifest as one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items() if item not in (None, ""))
    if isinstance(value, list | tuple):
        return ", ".join(str(_plain(item)) for item in value)
    return None if value is None else str(value)
