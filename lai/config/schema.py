"""The schema of a run: every setting of LAi's own, its type and, where the YAML may leave it out, its default."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class ModelSettings:
    """`model`: a shape; `vocab_size` is not here because it comes from the vocabulary that was built."""

    name: str = MISSING
    dim: int = MISSING
    hidden_dim: int = MISSING
    n_layers: int = MISSING
    n_heads: int = MISSING
    n_kv_heads: int | None = None
    max_seq_len: int = MISSING
    rope_theta: float = MISSING
    norm_eps: float = MISSING
    activation: str = MISSING
    tie_embeddings: bool = MISSING


@dataclass
class DeviceSettings:
    """`device`: where the run computes. Null means "what the chosen device's file says" (only in auto.yaml)."""

    name: str = MISSING
    accelerator: str = MISSING
    precision: Any = None
    num_workers: int | None = None
    pin_memory: bool | None = None
    compile: Any = None  # true, false or "auto"
    tf32: bool | None = None
    recompute_activations: bool | None = None
    threads: int | None = None
    max_batch_tokens: int | None = None


@dataclass
class SyntheticSettings:
    """`data.synthetic`: how much the generator writes, and of what (lai.data.synthetic.SyntheticConfig)."""

    sentences: int = MISSING
    stories: int = MISSING
    translations: int = MISSING
    instructions: int = MISSING
    seed: int = MISSING
    lexicon: Any = "full"
    templates: list[str] | None = None
    instruction_mix: dict[str, int] | None = None
    detail: float = 1.0
    phrases: float = 0.2
    phrase_verbs: float = 0.2
    repetitions: int = 1
    held_out: float = 0.1


@dataclass
class HubSettings:
    """`data.hub`: the known data sets by size (lai.data.sources.catalog), or one of your own (HubSource)."""

    size: str = MISSING
    rows: dict[str, int] | None = None
    name: str | None = None
    config: str | None = None
    split: str = MISSING
    revision: str | None = None
    columns: dict[str, str] | None = None
    clean: str | None = None
    template: str | None = None
    limit: int | None = None
    streaming: bool = True


@dataclass
class DataSettings:
    """`data`: where documents come from, and how they become a vocabulary, token files and batches."""

    source: str = MISSING
    path: Any = None
    val_path: Any = None
    vocab_path: str | None = None
    vocab_size: int = MISSING
    min_freq: int = MISSING
    val_fraction: float = MISSING
    split_seed: int = MISSING
    seq_len: int | None = None
    batch_size: int = MISSING
    cache_dir: str = MISSING
    synthetic: SyntheticSettings | None = None
    hub: HubSettings | None = None


@dataclass
class OptimizerSettings:
    """`optimizer`: learning rates, moments and weight decay; `momentum` and `block_rows` are Muon's."""

    name: str = MISSING
    lr: float = MISSING
    embedding_lr: float = MISSING
    beta1: float = MISSING
    beta2: float = MISSING
    eps: float = MISSING
    weight_decay: float = MISSING
    momentum: float = 0.95
    block_rows: int | None = None


@dataclass
class ScheduleSettings:
    """`schedule`: how the learning rate rises and falls; fractions are of all steps and of `optimizer.lr`."""

    name: str = MISSING
    warmup_fraction: float = MISSING
    final_fraction: float = 1.0
    decay_fraction: float = 1.0


@dataclass
class ExportSettings:
    """`export`: where the model file goes and in which weight dtype."""

    path: str | None = None
    dtype: str = MISSING


@dataclass
class RunConfig:
    """A whole run. `trainer`, `callbacks` and `logger` hold the plain keyword arguments of Lightning's own objects."""

    model: ModelSettings = field(default_factory=ModelSettings)
    device: DeviceSettings = field(default_factory=DeviceSettings)
    data: DataSettings = field(default_factory=DataSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    trainer: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    output_dir: str = MISSING
    seed: int = MISSING
    ckpt_path: str | None = None
    estimate: bool = False  # measure a few steps and tell what the run would take, instead of doing it
