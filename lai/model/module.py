"""The LightningModule around the transformer: steps, metrics, optimizer, and what a checkpoint carries."""

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lai.config.schema import OptimizerSettings, ScheduleSettings
from lai.data.tokens.batches import IGNORED
from lai.host.errors import UserError
from lai.model.optimizers import build_optimizer, build_schedule, learning_rate_factor
from lai.model.plain_state import leave_out_odd_state
from lai.model.record import TrainingRecord
from lai.model.seen import TokensSeen
from lai.model.transformer import ModelConfig, Transformer, is_causal

log = logging.getLogger(__name__)


class _Place(NamedTuple):
    """A place in a run: the optimizer steps and epochs before it, and the batches of its own epoch."""

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
        references: constants to be logged beside the validation metrics, such as `{"val/loss_floor": 0.9}`.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocab: bytes,
        byte_lengths: Tensor,
        optimizer: OptimizerSettings,
        schedule: ScheduleSettings,
        references: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocab = vocab
        self.optimizer_settings = optimizer
        self.schedule_settings = schedule
        self.references = dict(references or {})
        self.tokens_seen = TokensSeen()
        self._validated = (-1, 0.0)  # at which step, and the val/loss there
        self.model = Transformer(config)
        self.byte_lengths = byte_lengths.long()  # no buffer: a callback that averages a model's would change it
        self._place = _Place(0, 0, 0)
        self._told: set[str] = set()  # whose odd state checkpoints leave out
        self._losses: list[Tensor] = []  # of this step's batches so far: the gradients weigh each the same

    def forward(self, tokens: Tensor, documents: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
        return self.model(tokens, documents, targets=targets)  # type: ignore[no-any-return]

    def on_fit_start(self) -> None:
        # Attention on Apple's GPUs has read tokens that were still to come in some versions of PyTorch and macOS.
        if self.device.type == "mps" and not is_causal(self.model):
            raise UserError(
                f"attention on {self.device} reads tokens that are still to come (PyTorch {torch.__version__}), so the "
                "model would learn nothing; use another version of PyTorch, or device=cpu"
            )

    def on_train_start(self) -> None:
        trainer = self.trainer
        batches, every = int(trainer.num_training_batches), trainer.accumulate_grad_batches
        if every > batches:
            raise UserError(
                f"trainer.accumulate_grad_batches is {every}, but an epoch has {batches} batches and its end ends a "
                f"step; make it {batches} or less, or make data.batch_size smaller"
            )
        if batches % every:
            log.info("the last step of each epoch has %s batches instead of %s", batches % every, every)
        if self._place.step:
            loop = trainer.fit_loop
            if loop.restarted_mid_epoch or loop.restarted_on_epoch_end:
                self._place = self._place._replace(epoch=loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
            else:
                self.on_train_epoch_start()
            self._resume()

    def _resume(self) -> None:
        """Take this run's rates from the first step on: those in the checkpoint are the shorter run's."""
        step, steps = self.trainer.global_step, self.planned_steps
        factor = self._learning_rate_factor(step)
        log.info("resuming at step %s%s", f"{step:,}", f" of {steps:,}" if steps < math.inf else "")
        if factor == 0:
            raise UserError(
                f"the learning rate is 0 from step {step:,} on: the schedule is over; raise trainer.max_time, "
                "or set schedule=constant"
            )
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, LambdaLR):  # and not one that a callback puts in its place
                rates = config.scheduler.base_lrs
                for group, rate in zip(config.scheduler.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * factor

    def on_train_epoch_start(self) -> None:
        self._place = _Place(self.trainer.global_step, self.trainer.fit_loop.epoch_progress.current.processed, 0)  # type: ignore[attr-defined]

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        total, count = self._loss(batch)
        self.tokens_seen.add(count, self.trainer.world_size)
        loss = total / count.clamp(min=1)
        self._losses.append(loss.detach())
        self._step_loss = torch.stack(self._losses).mean()
        if self.trainer.world_size == 1:
            self.log("train/loss", self._step_loss, batch_size=1)
        # A tensor: Lightning would copy a number to the device, and wait until that is done, in every step.
        lr = torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.log("train/lr", lr, batch_size=1)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Log the loss of all processes, where Lightning writes it: to hear it, a process waits for its GPU."""
        trainer = self.trainer
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.world_size == 1 or self._losses or not every:  # losses: the step goes on with the next batch
            return
        if trainer.global_step % every == 0 or trainer.should_stop:
            loss = trainer.strategy.reduce(self._step_loss.clone(), reduce_op="mean")
            self.log("train/loss", loss, batch_size=1)

    def on_validation_epoch_start(self) -> None:
        self._sums = torch.zeros(3, dtype=torch.float64)  # nats, tokens, bytes
        self.byte_lengths = self.byte_lengths.to(self.device)

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        total, count = self._loss(batch)
        targets = batch["targets"]
        size = self.byte_lengths[targets.clamp(min=0)].masked_fill(targets == IGNORED, 0).sum()
        self._sums += torch.stack([total.float(), count.float(), size.float()]).cpu()

    def on_validation_epoch_end(self) -> None:
        sums = self._sums
        if self.trainer.world_size > 1:
            sums = self.trainer.strategy.reduce(sums.to(self.device), reduce_op="sum")
        nats, tokens, text_bytes = sums.tolist()
        self.tokens_seen.meet(self.trainer)
        if not self.trainer.sanity_checking:
            self._validated = (self.trainer.global_step, nats / max(1, tokens))
        self.log("val/loss", nats / max(1, tokens), sync_dist=True)
        self.log("val/bpb", nats / math.log(2) / max(1, text_bytes), sync_dist=True)
        self.log_dict(self.references, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        self.tokens_seen.meet(self.trainer)

    def training_record(self, steps: int) -> TrainingRecord:
        """How far the weights have been trained after so many steps; `val/loss` is known where they were validated."""
        validated, loss = self._validated
        floor = self.references.get("val/loss_floor", 0.0)
        return TrainingRecord.read(steps, self.tokens_seen.total(), loss if steps == validated else 0.0, floor)

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The summed negative log-likelihood in nats, and the number of predicted tokens."""
        total = self(batch["tokens"], batch["documents"], batch["targets"])
        return total, (batch["targets"] != IGNORED).sum()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self.optimizer_settings
        if settings.name == "muon" and isinstance(self.trainer.strategy, FSDPStrategy):
            raise UserError("optimizer=muon needs whole matrices, and FSDP splits them; use optimizer=adamw with it")
        # With float16's scaled losses a fused step would unscale the gradients only after they were clipped.
        optimizer = build_optimizer(self.model, settings, fused=self.trainer.precision != "16-mixed")
        schedule = build_schedule(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step: int) -> float:
        return learning_rate_factor(self._progress(step), self.schedule_settings)

    def _progress(self, step: int) -> float:
        """The share of the run that is over when `step` begins: by steps or, where `max_time` may end it, by time."""
        steps = self.planned_steps
        progress = (step + 1) / (steps + 1)
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Timer) and callback._duration:
                # All processes must use the same rate, and their clocks differ.
                elapsed = self.trainer.strategy.broadcast(callback.time_elapsed())
                progress = max(progress, elapsed / callback._duration)
        return min(1.0, progress)

    @property
    def planned_steps(self) -> float:
        """The optimizer steps of the whole run, those before a checkpoint among them; infinite where only time ends it.

        Lightning's estimate is that of a run that has read these data, and accumulated as now, from its first step on.
        """
        trainer = self.trainer
        limit = math.inf if trainer.max_steps == -1 else trainer.max_steps
        if trainer.max_epochs in (None, -1):
            return limit
        if trainer.train_dataloader is None:  # and the number of batches not known yet
            trainer.fit_loop.setup_data()
        batches, every = trainer.num_training_batches, trainer.accumulate_grad_batches
        step, epoch, batch = self._place
        if batch >= batches:
            epoch, batch = epoch + 1, 0
        assert trainer.max_epochs is not None
        coming = max(0, trainer.max_epochs - epoch) * math.ceil(batches / every) - batch // every
        return min(limit, step + coming)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Drop the gradients with the step that they were for; Lightning keeps them through the next forward pass."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        optimizer.zero_grad()
        self._losses.clear()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the global norm and log the norm before clipping.

        Lightning's own clipping refuses every fused optimizer under mixed precision because of loss scaling; bf16 has
        none, and with float16 the optimizer is not fused.
        """
        limit = gradient_clip_val or math.inf
        # FSDP's own method takes the norm over the shards of all processes.
        clip = getattr(self.trainer.strategy.model, "clip_grad_norm_", None)
        norm = clip(limit) if clip else nn.utils.clip_grad_norm_(self.parameters(), limit)
        self.log("train/grad_norm", norm, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["lai"] = {
            "config": self.config.to_dict(),
            "optimizer": self.optimizer_settings.name,
            "vocab": torch.frombuffer(bytearray(self.vocab), dtype=torch.uint8),
            "training": self.training_record(checkpoint["global_step"]).to_dict(),
        }
        leave_out_odd_state(checkpoint, self._told)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get("lai")
        if saved is None:
            raise UserError("the checkpoint is not one of lai.train: it carries no config and vocabulary")
        ours, theirs = self.config.to_dict(), saved["config"]
        if different := [name for name in ours if ours[name] != theirs[name]]:
            found, expected = (", ".join(f"{name} {of[name]}" for name in different) for of in (theirs, ours))
            raise UserError(
                f"the checkpoint's model has {found}, this run's has {expected}; give the run the same model"
            )
        optimizer, wanted = saved.get("optimizer", "an earlier one"), self.optimizer_settings.name
        if optimizer != wanted:
            raise UserError(
                f"the checkpoint's optimizer is {optimizer}, this run's is {wanted}; go on with the one it began with"
            )
        if "optimizer_states" not in checkpoint:
            raise UserError("the checkpoint holds weights alone (save_weights_only), so no run can go on from it")
        self._tell_what_is_kept(checkpoint["optimizer_states"][0]["param_groups"])
        self.tokens_seen.go_on_from(saved.get("training", {}).get("tokens", 0))
        if saved["vocab"].numpy().tobytes() != self.vocab:
            raise UserError("the checkpoint was trained with another vocabulary; give the run the same data settings")
        batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        epoch, batch = checkpoint["epoch"], batches["current"]["processed"]
        self._place = _Place(
            checkpoint["global_step"], *((epoch + 1, 0) if batches["is_last_batch"] else (epoch, batch))
        )

    def _tell_what_is_kept(self, groups: list[dict[str, Any]]) -> None:
        """A line for each setting of the optimizer that differs: a resumed run goes on with what it began with."""
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
                log.info("optimizer.%s stays %g, that of the checkpoint, instead of %g", name, value, wanted)
