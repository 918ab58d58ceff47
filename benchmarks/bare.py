"""A plain PyTorch training loop over the parts of `lai.train`, for the benchmarks."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from lai.config.schema import RunConfig
from lai.data.prepare import Corpus, prepare_corpus
from lai.model.transformer import ModelConfig
from lai.run import build as assembly
from lai.tokenizer.targets import IGNORE_INDEX

Batch = dict[str, Tensor]


def prepared(run: RunConfig) -> tuple[Corpus, ModelConfig]:
    assembly.choose_device(run)
    corpus = prepare_corpus(run.data)
    return corpus, ModelConfig.of(run.model, len(corpus.vocab))


def torch_device(run: RunConfig) -> torch.device:
    return torch.device(run.device.accelerator)


def batches(run: RunConfig, corpus: Corpus) -> Iterator[Batch]:
    """Yield training batches without end, epoch after epoch."""
    loader = assembly.build_datamodule(run, corpus).train_dataloader()
    epoch = 0
    while True:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for batch in loader:
            yield {name: tensor.to(torch_device(run)) for name, tensor in batch.items()}
        epoch += 1


def mixed(run: RunConfig) -> torch.autocast:
    """Autocast for the run's precision."""
    enabled = str(run.trainer["precision"]).startswith("bf16")
    return torch.autocast(torch_device(run).type, torch.bfloat16, enabled=enabled)


def loss_of(network: nn.Module, batch: Batch) -> Tensor:
    """The mean loss of our network, in nats per token."""
    total: Tensor = network(batch["tokens"], batch["documents"], targets=batch["targets"])
    return total / (batch["targets"] != IGNORE_INDEX).sum()


def step(
    run: RunConfig,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Batch], Tensor],
    batch: Batch,
) -> None:
    """One training step: loss, gradients, clipping, update."""
    with mixed(run):
        loss = loss_of(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
