"""The schema of a run: each of LAi's own settings with its type, range and meaning, and the default that YAML may omit.

Checks, `lai-train --help`, docs/configuration.md and conf/schema.json are made from it. The components take these
objects as they are, or add to them: `ModelConfig`, `SyntheticConfig` and `HubSource` do.
"""

from dataclasses import dataclass, field
from typing import Any

from lai.config.setting import check_ranges, setting

_MAX_WIDTH = 1 << 24
_MAX_THREADS = 1024  # with far more PyTorch crashes without a message
_MAX_SEED = 2**32 - 1  # numpy's limit
_TEXTS = ("synthetic", "files", "hub")
_FLOAT32 = {"ge": 2.0**-126, "le": (2 - 2.0**-23) * 2.0**127, "words": "a positive number of float32"}


class Checked:
    """A dataclass of settings that checks its ranges when it is made.

    Raises:
        SettingError: a value is out of its range.
    """

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class ModelShape(Checked):
    """The shape of a network without its vocabulary."""

    dim: int = setting("width of the residual stream", ge=1, le=_MAX_WIDTH)
    hidden_dim: int = setting("width inside the feed-forward layers", ge=1, le=_MAX_WIDTH)
    n_layers: int = setting("number of transformer blocks", ge=1, le=1000)
    n_heads: int = setting("query heads; they divide dim, each of an even width", ge=1)
    n_kv_heads: int | None = setting(
        "key/value heads; null: n_heads; fewer: grouped-query attention; they divide n_heads", None, ge=1
    )
    max_seq_len: int = setting("context length, tokens", ge=1, le=_MAX_WIDTH)
    rope_theta: float = setting("base of the rotary position embedding", 10000.0, **_FLOAT32)
    norm_eps: float = setting("epsilon of RMSNorm", 1e-5, **_FLOAT32)
    activation: str = setting("activation of the gated feed-forward layers", "silu", choices=("silu", "gelu"))
    tie_embeddings: bool = setting("use the embedding matrix as the output matrix, too", True)


LORA_TARGETS = ("q", "k", "v", "o", "gate", "up", "down")


@dataclass
class LoraSettings(Checked):
    """`model.lora`: low-rank factors that train instead of the weights. Exports hold the sum of both."""

    rank: int = setting("rank of the factors; 0: all weights train", 0, ge=0, le=_MAX_WIDTH)
    alpha: float = setting("the factors' product is multiplied with alpha / rank", 16.0, gt=0)
    targets: list[str] = setting("matrices of each layer that get factors", [*LORA_TARGETS])


@dataclass(frozen=True, kw_only=True)
class ModelSettings(ModelShape):
    """`model`: the network's shape. The vocabulary that the run builds gives the vocab_size."""

    name: str = setting("name of the model file: lai-NAME.bin")
    lora: LoraSettings = field(default_factory=LoraSettings)


@dataclass(kw_only=True)
class DeviceSettings(Checked):
    """`device`: where the run computes. In auto.yaml, null means the value of the chosen device's file."""

    name: str = setting("auto, cpu, cuda or mps")
    accelerator: str = setting("what trainer.accelerator is if it is not given")
    precision: Any = setting(
        "32-true, bf16-mixed or 16-mixed; auto: bf16-mixed where the CPU multiplies bfloat16 in hardware, else 32-true",
        None,
    )
    num_workers: int | None = setting("processes that load batches; 0: none", None, ge=0, le=_MAX_THREADS)
    pin_memory: bool | None = setting("page-locked memory, so that copies to the GPU overlap with computing", None)
    compile: Any = setting(
        "torch.compile: true, false or, on the CPU, auto: in runs of ten minutes and more, given a C++ compiler",
        None,
    )
    tf32: bool | None = setting("multiply float32 matrices with 10 bits of mantissa on CUDA; false: with 23", None)
    recompute_activations: bool | None = setting("activation checkpointing: less memory, a third more computing", None)
    check: bool | None = setting("before a run on a GPU, compare causality, loss and gradients with the CPU's", None)
    threads: int | None = setting("CPU threads; null: PyTorch's choice", None, ge=1, le=_MAX_THREADS)
    max_batch_tokens: int | None = setting("maximum tokens in a batch that the device computes correctly", None, ge=1)


@dataclass
class SyntheticSettings(Checked):
    """`data.synthetic`: how much text the generator writes, and of what."""

    sentences: int = setting("documents of one sentence, half of them in each language", 10000, ge=0)
    stories: int = setting("documents of one story, half of them in each language", 5000, ge=0)
    translations: int = setting("translation pairs, each a document in both directions", 3000, ge=0)
    instructions: int = setting("instructions in each language", 2000, ge=0)
    seed: int = setting("seed of the generator", 0, ge=0)
    lexicon: Any = setting("full, small (120 words, for nano) or a number of words, at least 40", "full")
    templates: list[str] | None = setting("kinds of sentences; null: all, or four with the small lexicon", None)
    instruction_mix: dict[str, int] | None = setting(
        "weights of the kinds of instructions, a missing one is 0; null: the generator's own", None
    )
    detail: float = setting("how often a sentence has its optional parts: never 0, always 1", 1.0, ge=0, le=1)
    phrases: float = setting("share of translations that are phrases, not sentences", 0.2, ge=0, le=1)
    phrase_verbs: float = setting("share of those phrases that are a verb with a pronoun", 0.2, ge=0, le=1)
    repetitions: int = setting("how often each translation pair is written", 1, ge=1)
    held_out: float = setting("share of word combinations that are never written, for tests", 0.1, ge=0, le=0.5)
    conversations: int = setting("conversations of several questions, of the kinds in instruction_mix", 0, ge=0)
    turns: int = setting("maximum questions in a conversation", 8, ge=1, le=8)


@dataclass
class HubDataset(Checked):
    """One data set of the Hugging Face hub, and how its rows become documents."""

    name: str | None = setting("your own data set instead of the known three: its hub name, or a folder of files", None)
    config: str | None = setting("its configuration, as the hub names it", None)
    split: str = setting("its split", "train")
    revision: str | None = setting("its commit or tag, for runs that can be repeated; null: the newest", None)
    columns: dict[str, str] | None = setting("our column names and its own: {text: body} or {en: pair.en}", None)
    clean: str | None = setting(
        "how a document is cleaned; null: as the known data sets", None, choices=("article", "story", "pair")
    )
    template: str | None = setting(
        "how a row becomes a document: <user>{question}</user><assistant>{answer}</assistant>", None
    )
    limit: int | None = setting("maximum number of rows that give a document; null: all", None, ge=1)
    streaming: bool = setting("fetch rows as they are read; false: download the whole split first", True)


@dataclass(kw_only=True)
class HubSettings(HubDataset):
    """`data.hub`: how much of the known data sets (lai/data/sources/catalog.py), or one data set of your own."""

    size: str = setting("rows of the known data sets", "small", choices=("tiny", "small", "medium", "large"))
    rows: dict[str, int] | None = setting("other numbers of rows: {hu_wiki: 1000, en_stories: 0}", None)


@dataclass(kw_only=True)
class SourceSettings(Checked):
    """`data.sources.NAME`: one source of a mixture; what is null is as `data` has it."""

    weight: float | None = setting(
        "share of the training tokens, relative to the other sources; null for all: by their sizes", None, gt=0
    )
    max_epochs: int | None = setting("passes over this source in the whole run at most; null: data.max_epochs", None)
    path: Any = setting("files, folders or globs, as data.path", None)
    source: str | None = setting("synthetic or hub: generated text, or data sets of the hub", None, choices=_TEXTS)
    val_path: Any = setting("files to validate with; null: data.val_fraction of the source's documents", None)
    language: str | None = setting(
        "language of all its documents; null: LAi tells that of each document to validate with",
        None,
        choices=("hu", "en"),
    )
    licence: str | None = setting("licence of the text; null: data.licence, or as its source says", None)
    columns: dict[str, str] | None = setting("as data.columns, for the rows in path", None)
    template: str | None = setting("as data.template, for the rows in path", None)
    bad_rows: str | None = setting("as data.bad_rows", None, choices=("error", "skip"))
    max_unpacked: int | None = setting("as data.max_unpacked", None, ge=1)
    clean: bool | None = setting("as data.clean", None)
    synthetic: SyntheticSettings | None = None
    hub: HubSettings | None = None


@dataclass(kw_only=True)
class DataSettings(Checked):
    """`data`: where documents come from, and how they become a vocabulary, token files and batches."""

    source: str = setting("where documents come from, without data.path", choices=_TEXTS)
    path: Any = setting("files, folders or globs to train on, one or a list; docs/data.md has the formats", None)
    val_path: Any = setting("files to validate with; null: val_fraction of the documents", None)
    normalize: bool = setting("fold the text to one form, as prompts are: NFC, blanks, quotes (docs/data.md)", True)
    columns: dict[str, str] | None = setting(
        "our column names and those of the rows in data.path: {text: body}, or {en: 1, hu: 2} without a header", None
    )
    template: str | None = setting(
        "how a row in data.path becomes a document: <user>{question}</user><assistant>{answer}</assistant>", None
    )
    bad_rows: str = setting(
        "what a faulty row in data.path does: end the run, or be counted and left out",
        "error",
        choices=("error", "skip"),
    )
    max_unpacked: int | None = setting(
        "bytes that a packed file may unpack to; null: 100 times its size, and 1 GB in any case", None, ge=1
    )
    vocab_path: str | None = setting("a vocabulary file to use; null: the run builds one", None)
    vocab_size: int = setting("maximum tokens of the vocabulary that the run builds", ge=305, le=_MAX_WIDTH)
    min_freq: int = setting("minimum occurrences in the text that keep a token in the vocabulary", ge=1)
    val_fraction: float = setting("share of documents to validate with, chosen by their content", gt=0, lt=1)
    split_seed: int = setting("seed of that choice")
    seq_len: int | None = setting("tokens in a row of a batch; null: model.max_seq_len", None)
    loss_on: str = setting(
        "targets that count: all, or only what the assistant says with its end tag; texts without turns count whole",
        "all",
        choices=("all", "answers"),
    )
    batch_size: Any = setting(
        "rows in a batch; auto: a power of two that fits into memory, at most 2,048 tokens on a CPU, 16,384 on a GPU",
        ge=1,
        words="a whole number of at least 1, or auto",
    )
    clean: bool = setting(
        "mend the text of files before it is used: encoding, entities, markup (lai-clean-data)", False
    )
    licence: str | None = setting(
        "licence of the text, for run.json and the model's card; null: as its source says", None
    )
    cache_dir: str = setting("folder of generated text, vocabularies and token files, shared by all runs")
    sources: dict[str, SourceSettings] | None = setting(
        "a mixture instead of data.path: {wiki: {path: wiki.txt, weight: 0.7}, chat: {path: chat.jsonl, weight: 0.3}}",
        None,
    )
    max_epochs: int | None = setting(
        "passes over each of data.sources in the whole run at most; null: 4 for each epoch of the run; -1: no limit",
        None,
    )
    synthetic: SyntheticSettings | None = None
    hub: HubSettings | None = None


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Checked):
    """`optimizer`: AdamW, or Muon for the matrices and AdamW for embedding and norms."""

    name: str = setting("the optimizer", choices=("adamw", "muon"))
    lr: float = setting(
        "peak learning rate of the matrices; null: 0.125 / dim with adamw, 0.02 / sqrt(dim) with muon, and ten times "
        "that with LoRA",
        gt=0,
    )
    embedding_lr: float = setting("peak learning rate of embedding, output matrix and norms", gt=0)
    beta1: float = setting("AdamW's decay of the first moment", gt=0, lt=1)
    beta2: float = setting("AdamW's decay of the second moment", gt=0, lt=1)
    eps: float = setting("AdamW's epsilon", gt=0)
    weight_decay: float = setting("weight decay of the matrices; embedding and norms have none", ge=0)
    momentum: float = setting("Muon's momentum", 0.95, ge=0, lt=1)
    block_rows: int | None = setting("rows that Muon makes orthogonal together; null: the whole matrix", None, ge=1)


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings(Checked):
    """`schedule`: the learning rate over the run: linear warm-up, the peak, then a decay of this name."""

    name: str = setting("shape of the decay; wsd decays linearly", choices=("linear", "cosine", "wsd", "constant"))
    warmup_fraction: float = setting("share of all steps that warm up", ge=0, le=1)
    final_fraction: float = setting("learning rate at the end, as a share of the peak", 1.0, ge=0, le=1)
    decay_fraction: float = setting("share of all steps, the last ones, that decay", 1.0, ge=0, le=1)


EXPORT_FORMATS = ("lai", "gguf", "hf")


@dataclass(kw_only=True)
class ExportSettings(Checked):
    """`export`: the model file, and files for other programs."""

    path: str | None = setting("the model file; null: models/lai-NAME.bin, in a sweep in the job's own folder", None)
    dtype: str = setting("dtype of its matrices (docs/format.md)", choices=("f32", "f16", "q8_0", "q4_0"))
    formats: list[str] = setting(
        "what is written: lai (the model file, always), gguf (llama.cpp), hf (a folder for transformers)", ["lai"]
    )


@dataclass(kw_only=True)
class CheckpointSettings(Checked):
    """`checkpoint`: when the state of a run is saved."""

    minutes: float | None = setting(
        "minutes between two saves of last.ckpt, beside those after validations; 0 or null: none", 5.0, ge=0
    )
    keep: str = setting(
        "all: the optimizer's state in all checkpoints, to train longer later; resume: in last.ckpt until the run is "
        "finished; best: no last.ckpt at all",
        "resume",
        choices=("all", "resume", "best"),
    )


@dataclass(kw_only=True)
class SweepSettings(Checked):
    """`sweep`: what a sweep (`-m`) does beside its jobs; docs/sweeps.md."""

    resume: str | None = setting("folder of a sweep to resume; all other settings come from its ledger", None)
    retry_failed: bool = setting("a resumed sweep also resumes the jobs that failed", False)
    max_failures: int | None = setting(
        "failed jobs after which a start of the sweep begins no other; null: no limit", None, ge=1
    )
    metric: str = setting("metric by which jobs are compared, and that sweepers minimize", "val/loss")


@dataclass(kw_only=True)
class TrainerSettings:
    """`trainer`: the arguments of Lightning's Trainer that the YAML sets; add others as +trainer.NAME=VALUE."""

    accelerator: Any = setting("cpu, cuda, mps or auto; it chooses the device where device=auto")
    precision: Any = setting("32-true, bf16-mixed or 16-mixed")
    devices: Any = setting("number of devices, or a list of their indices")
    strategy: Any = setting("auto, ddp or fsdp")
    max_epochs: int | None = setting("passes over the training data; -1: no limit", ge=-1)
    max_steps: int = setting("optimizer steps; -1: no limit", ge=-1)
    max_time: Any = setting("training time, DD:HH:MM:SS; the learning rate then follows the time")
    gradient_clip_val: float | None = setting("maximum norm of all gradients; null: no limit", ge=0)
    accumulate_grad_batches: int = setting("batches of an optimizer step; the end of an epoch ends a step, too", ge=1)
    limit_train_batches: float | None = setting("batches of an epoch, a number or a share; null: all", gt=0)
    limit_val_batches: float | None = setting("batches of a validation, a number or a share; null: all, 0: none", ge=0)
    val_check_interval: float | None = setting("batches between validations, or a share of an epoch", gt=0)
    check_val_every_n_epoch: int | None = setting("epochs between validations; null: val_check_interval alone", ge=1)
    log_every_n_steps: int = setting("optimizer steps between two logged points", ge=0)
    num_sanity_val_steps: int = setting("validation batches before training", ge=-1)
    enable_model_summary: bool = setting("Lightning's table of layers; lai-train prints its own lines")
    use_distributed_sampler: bool = setting("leave it false: LAi's data module shares out the batches itself")


@dataclass(kw_only=True)
class RunConfig(Checked):
    """A whole run. `trainer`, `callbacks` and `logger` hold the plain keyword arguments of Lightning's own objects."""

    model: ModelSettings
    device: DeviceSettings
    data: DataSettings
    optimizer: OptimizerSettings
    schedule: ScheduleSettings
    export: ExportSettings
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    sweep: SweepSettings = field(default_factory=SweepSettings)
    trainer: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    output_dir: str = setting("the run's folder; choose it with hydra.run.dir=FOLDER, in a sweep with hydra.sweep.dir")
    seed: int = setting("seed of weights and data order", ge=0, le=_MAX_SEED)
    max_bad_steps: int = setting(
        "steps in a row whose loss or gradient is not finite that end a run; each of them is skipped", 10, ge=1
    )
    skip_spikes: bool = setting(
        "skip a step whose loss is 6 deviations above those of the last 100; it counts as a bad step", False
    )
    ckpt_path: str | None = setting(
        "checkpoint to resume from; repeat the original run's model, data, optimizer and schedule settings", None
    )
    init_from: str | None = setting(
        "a model's file or folder to begin with: its weights, shape and vocabulary, with new data and a new optimizer",
        None,
    )
    allow_targets: list[str] | None = setting(
        "packages of yours whose classes a config from elsewhere may name as _target_; only the command line's counts",
        None,
    )
    resume: str | None = setting(
        "auto: resume the run in hydra.run.dir from its last.ckpt, or start it where there is none",
        None,
        choices=("auto",),
        words="auto, or null; give a checkpoint as ckpt_path=FILE",
    )
    estimate: bool = setting("measure a few steps and report what the run would take, instead of training", False)
