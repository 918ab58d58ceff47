"""The LightningModule around the transformer: steps, metrics, optimizer, and what a checkpoint carries."""

import logging
import math
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lai.config.schema import LoraSettings, OptimizerSettings, ScheduleSettings
from lai.host.errors import UserError
from lai.model.dropped_state import NO_STATE, drop_state, lacks_state
from lai.model.finite import FiniteSteps, spread
from lai.model.lora import add_factors, check_same_factors
from lai.model.manifest import Manifest, from_json, to_json
from lai.model.optimizers import build_optimizer, build_schedule, learning_rate_factor
from lai.model.plain_state import drop_non_plain_state, entries_of_callbacks
from lai.model.record import CHECKPOINT_VERSION, TrainingRecord
from lai.model.resuming import check_optimizer_on_load, check_resumable
from lai.model.step_loss import StepLoss
from lai.model.tokens_seen import TokensSeen
from lai.model.transformer import ModelConfig, Transformer
from lai.model.val_groups import Groups
from lai.tokenizer.targets import IGNORE_INDEX

log = logging.getLogger(__name__)


class _Place(NamedTuple):
    """A place in a run: the optimizer steps and epochs before it, and the batches before it in its own epoch."""

    step: int
    epoch: int
    batch: int


class LanguageModel(lightning.LightningModule):
    """Trains a `Transformer` to predict the next token.

    Args:
        config: the shape of the network.
        vocab: the vocabulary file's bytes; every checkpoint carries them, so that it can be exported alone.
        byte_lengths: (vocab_size,) how many bytes of text each token stands for, for bits per byte.
        optimizer, schedule: how the weights are learned.
        references: constants that are logged with the validation metrics, such as `{"val/loss_floor": 0.9}`.
        unfolded: the text is not folded (`lai.tokenizer.folding`); the model file records it.
        turns: user turns of the longest conversations in the training text; 0 is unknown.
        by_target: not all targets count (`data.loss_on`); those of a step that do weigh the same (`StepLoss`).
        groups: what batches to validate with are of, where that is not one text.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocab: bytes,
        byte_lengths: Tensor,
        optimizer: OptimizerSettings,
        schedule: ScheduleSettings,
        references: Mapping[str, float] | None = None,
        unfolded: bool = False,
        turns: int = 0,
        by_target: bool = False,
        groups: Groups | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocab = vocab
        self.optimizer_settings = optimizer
        self.schedule_settings = schedule
        self.references = dict(references or {})
        self.unfolded = unfolded
        self.turns = turns
        self.groups = groups
        self.run_id = uuid.uuid4().hex
        """The name of the run in its checkpoints; a resumed run keeps that of its checkpoint."""
        self.manifest = Manifest()
        """What checkpoints and exports say of the run."""
        self.tokens_seen = TokensSeen()
        self.finite = FiniteSteps()
        self._validated = (-1, 0.0)  # the step of the last validation, and its val/loss
        self.model = Transformer(config)
        self.lora: LoraSettings | None = None
        """The factors that train instead of the weights; None: the weights train."""
        self.byte_lengths = byte_lengths.long()  # no buffer: a callback that averages the model would change it
        self._place = _Place(0, 0, 0)
        self._drops_state = False  # from the checkpoint that is written now
        self.lacks_state = False
        """Whether the run resumes from a checkpoint without the optimizer's state, so that it cannot train."""
        self._told: set[str] = set()  # callbacks whose unusual state checkpoints leave out; each is reported once
        self._step = StepLoss(by_target)

    def add_lora(self, settings: LoraSettings, seed: int) -> None:
        """Train low-rank factors from now on. The weights are frozen as they are: load them before.

        Args:
            seed: what the factors are drawn from.
        """
        add_factors(self.model, settings, seed)
        self.lora = settings

    def forward(self, tokens: Tensor, documents: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
        return self.model(tokens, documents, targets=targets)  # type: ignore[no-any-return]

    def on_train_start(self) -> None:
        trainer = self.trainer
        batches, every = int(trainer.num_training_batches), trainer.accumulate_grad_batches
        if every > batches:
            raise UserError(
                f"trainer.accumulate_grad_batches is {every}, but an epoch has {batches} batches, and a step "
                f"ends with its epoch; make it {batches} or less, or lower data.batch_size"
            )
        if batches % every:
            log.info("the last step of each epoch has %s batches instead of %s", batches % every, every)
        if self._place.step:
            loop = trainer.fit_loop
            if loop.restarted_mid_epoch or loop.restarted_on_epoch_end:
                done = loop.epoch_progress.current.processed  # type: ignore[attr-defined]
                # Saved by the validation behind an epoch's last batch: Lightning ends that epoch first.
                batches = loop.epoch_loop
                done += loop.restarted_mid_epoch and batches.restarted_on_last and batches.batch_progress.is_last_batch
                self._place = self._place._replace(epoch=done)
            else:
                self.on_train_epoch_start()
            self._resume()

    def _resume(self) -> None:
        """Use this run's learning rates from the first step on: those in the checkpoint belong to a shorter run."""
        step, steps = self.trainer.global_step, self.planned_steps
        factor = self._learning_rate_factor(step)
        log.info("resuming at step %s%s", f"{step:,}", f" of {steps:,}" if steps < math.inf else "")
        if factor == 0 and step < steps:
            raise UserError(
                f"the learning rate is 0 from step {step:,} on: the schedule is over; raise trainer.max_time, "
                "or set schedule=constant"
            )
        if self.lacks_state and step < steps:
            raise UserError(NO_STATE)
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, LambdaLR):  # not one that a callback has put in its place
                rates = config.scheduler.base_lrs
                for group, rate in zip(config.scheduler.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * factor

    def on_train_epoch_start(self) -> None:
        self._place = _Place(self.trainer.global_step, self.trainer.fit_loop.epoch_progress.current.processed, 0)  # type: ignore[attr-defined]

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        total, count = self._loss(batch)
        # The model reads all tokens, also those that do not count as targets; without documents none is padding.
        documents = batch["documents"]
        read = count if documents is None else (documents >= 0).sum()
        self.tokens_seen.add(read, self.trainer.world_size)
        loss = self._step.add(total, count, batch["targets"].numel())
        if self.trainer.world_size == 1:
            self.log("train/loss", self._step.mean(), batch_size=1)
        # A tensor: Lightning would copy a number to the device in every step, and wait for the copy.
        lr = torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.log("train/lr", lr, batch_size=1)
        return spread(loss)

    def on_train_batch_end(self, *_: Any) -> None:
        """Log the mean loss of all processes, only at logged steps: reducing it waits for the GPU."""
        trainer = self.trainer
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.world_size == 1 or not self._step.is_over or not every:
            return
        if trainer.global_step % every == 0 or trainer.should_stop:
            self.log("train/loss", self._step.mean_of_all(trainer.strategy), batch_size=1)

    def on_validation_epoch_start(self) -> None:
        # nats, tokens, bytes
        self._sums = torch.zeros(3, dtype=torch.float64) if self.groups is None else self.groups.zeros()
        self.byte_lengths = self.byte_lengths.to(self.device)

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        total, count = self._loss(batch)
        targets = batch["targets"]
        size = self.byte_lengths[targets.clamp(min=0)].masked_fill(targets == IGNORE_INDEX, 0).sum()
        sums = torch.stack([total.float(), count.float(), size.float()]).cpu()
        if self.groups is None:
            self._sums += sums
        else:
            self._sums[batch["group"]] += sums

    def on_validation_epoch_end(self) -> None:
        sums = self._sums
        if self.trainer.world_size > 1:
            sums = self.trainer.strategy.reduce(sums.to(self.device), reduce_op="sum")
        nats, tokens, text_bytes = sums.tolist() if self.groups is None else self.groups.whole(sums)
        self.tokens_seen.sync(self.trainer)
        if self._step.by_target and not tokens and not self.trainer.sanity_checking:
            raise UserError(
                "none of the targets that were validated counts (data.loss_on=answers); raise trainer.limit_val_batches"
            )
        if not self.trainer.sanity_checking:
            self._validated = (self.trainer.global_step, nats / max(1, tokens))
        self.log("val/loss", nats / max(1, tokens), sync_dist=True)
        self.log("val/bpb", nats / math.log(2) / (text_bytes or 1), sync_dist=True)
        if self.groups is not None:
            self.log_dict(self.groups.metrics(sums), sync_dist=True)
        self.log_dict(self.references, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        self.tokens_seen.sync(self.trainer)

    def training_record(self, steps: int) -> TrainingRecord:
        """The record of the weights after `steps` steps; `val/loss` is known if this step was validated."""
        validated, loss = self._validated
        floor = self.references.get("val/loss_floor", 0.0)
        known_loss = loss if steps == validated else 0.0
        tokens = self.tokens_seen.total()
        return TrainingRecord.read(steps, tokens, known_loss, floor, self.unfolded, self.turns)

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The summed negative log-likelihood in nats, and the number of predicted tokens."""
        total = self(batch["tokens"], batch["documents"], batch["targets"])
        return total, (batch["targets"] != IGNORE_INDEX).sum()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self.optimizer_settings
        if self.lora is not None and isinstance(self.trainer.strategy, FSDPStrategy):
            raise UserError("model.lora needs whole factors, and FSDP splits them; use trainer.strategy=ddp with it")
        if settings.name == "muon" and isinstance(self.trainer.strategy, FSDPStrategy):
            raise UserError("optimizer=muon needs whole matrices, and FSDP splits them; use optimizer=adamw with it")
        # With float16's scaled losses, a fused step unscales the gradients after clipping, which is too late.
        optimizer = build_optimizer(self.model, settings, fused=self.trainer.precision != "16-mixed")
        check_optimizer_on_load(optimizer, self.trainer.strategy)
        schedule = build_schedule(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step: int) -> float:
        return learning_rate_factor(self._progress(step), self.schedule_settings)

    def _progress(self, step: int) -> float:
        """The share of the run that is over when `step` begins: by steps, or by time if `max_time` is nearer."""
        steps = self.planned_steps
        progress = (step + 1) / (steps + 1)
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Timer) and callback._duration:
                # All processes need the same rate, and their clocks differ.
                elapsed = self.trainer.strategy.broadcast(callback.time_elapsed())
                progress = max(progress, elapsed / callback._duration)
        return min(1.0, progress)

    @property
    def planned_steps(self) -> float:
        """The optimizer steps of the whole run, including those before a checkpoint; infinite where only time ends it.

        Lightning's estimate assumes that the run has had these data and this accumulation from its first step.
        """
        trainer = self.trainer
        limit = math.inf if trainer.max_steps == -1 else trainer.max_steps
        if trainer.max_epochs in (None, -1):
            return limit
        if trainer.train_dataloader is None:  # the number of batches is not known yet
            trainer.fit_loop.setup_data()
        batches, every = trainer.num_training_batches, trainer.accumulate_grad_batches
        step, epoch, batch = self._place
        if batch >= batches:
            epoch, batch = epoch + 1, 0
        assert trainer.max_epochs is not None
        coming = max(0, trainer.max_epochs - epoch) * math.ceil(batches / every) - batch // every
        return min(limit, step + coming)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Free the gradients after the step; Lightning keeps them through the next forward pass."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        optimizer.zero_grad()
        self._step.is_over = True

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the global norm, log the norm before clipping, and skip the step where it is bad (`FiniteSteps`).

        Under mixed precision, Lightning's own clipping refuses every fused optimizer because of loss scaling. bf16 has
        no loss scaling, and with float16 the optimizer is not fused.
        """
        trainer = self.trainer
        self._step.rescale(self.parameters(), trainer.strategy, trainer.world_size, trainer.accumulate_grad_batches)
        limit = gradient_clip_val or math.inf
        # FSDP's own method computes the norm over the shards of all processes.
        clip = getattr(trainer.strategy.model, "clip_grad_norm_", None)
        norm = clip(limit) if clip else nn.utils.clip_grad_norm_(self.parameters(), limit)
        self.log("train/grad_norm", norm, batch_size=1)
        loss = None if self.finite.window is None else self._step.mean_of_all(trainer.strategy)
        self.finite.judge(norm, self, optimizer, scales_loss=trainer.precision == "16-mixed", loss=loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        drop_non_plain_state(checkpoint, self._told)
        training = self.training_record(checkpoint["global_step"])
        checkpoint["lai"] = {
            "version": CHECKPOINT_VERSION,
            "run": self.run_id,
            "config": self.config.to_dict(),
            "optimizer": self.optimizer_settings.name,
            "vocab": torch.frombuffer(bytearray(self.vocab), dtype=torch.uint8),
            "training": training.to_dict(),
            "manifest": to_json(self.manifest.at(training)).decode(),
            "entries_of_callbacks": entries_of_callbacks(checkpoint),
        }
        if self.lora is not None:
            checkpoint["lai"]["lora"] = asdict(self.lora)
        if self._drops_state or self.lacks_state:
            drop_state(checkpoint)

    @contextmanager
    def without_optimizer_state(self) -> Iterator[None]:
        """Leave the optimizer's state out of the checkpoints that are written meanwhile."""
        self._drops_state = True
        try:
            yield
        finally:
            self._drops_state = False

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get("lai")
        if saved is None:
            raise UserError("the checkpoint was not written by lai-train: it has no config and no vocabulary")
        ours, theirs = self.config.to_dict(), saved["config"]
        if different := [name for name in ours if ours[name] != theirs[name]]:
            found, expected = (", ".join(f"{name} {of[name]}" for name in different) for of in (theirs, ours))
            raise UserError(
                f"the checkpoint's model has {found}, this run's has {expected}; use the same model settings"
            )
        check_same_factors(saved.get("lora"), self.lora)
        optimizer, wanted = saved.get("optimizer", "an earlier one"), self.optimizer_settings.name
        if optimizer != wanted:
            raise UserError(
                f"the checkpoint's optimizer is {optimizer}, this run's is {wanted}; resume with optimizer={optimizer}"
            )
        check_resumable(checkpoint, self)
        self._log_kept_settings(checkpoint["optimizer_states"][0]["param_groups"])
        self.lacks_state = lacks_state(checkpoint)
        self.run_id = self.manifest.run = saved.get("run", self.run_id)
        if "manifest" in saved:
            earlier = from_json(saved["manifest"].encode(), "the checkpoint")
            self.manifest.resume_from(earlier, checkpoint["global_step"])
        self.tokens_seen.resume_from(saved.get("training", {}).get("tokens", 0))
        if saved["vocab"].numpy().tobytes() != self.vocab:
            raise UserError("the checkpoint was trained with another vocabulary; use the same data settings")
        batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        epoch, batch = checkpoint["epoch"], batches["current"]["processed"]
        self._place = _Place(
            checkpoint["global_step"], *((epoch + 1, 0) if batches["is_last_batch"] else (epoch, batch))
        )

    def _log_kept_settings(self, groups: list[dict[str, Any]]) -> None:
        """Log each optimizer setting that differs: a resumed run keeps the one of its checkpoint."""
        matrices, others = groups[0], groups[-1]
        saved = {
            "lr": matrices["initial_lr"],
            "weight_decay": matrices["weight_decay"],
            "embedding_lr": others["initial_lr"],
            "beta1": others["betas"][0],
            "beta2": others["betas"][1],
            "eps": others["eps"],
            "momentum": matrices.get("momentum", self.optimizer_settings.momentum),  # AdamW has none
        }
        for name, value in saved.items():
            wanted = getattr(self.optimizer_settings, name)
            if value != wanted:
                log.info("optimizer.%s stays %g, as in the checkpoint; %g is ignored", name, value, wanted)
