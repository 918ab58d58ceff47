"""The network: a pre-norm decoder exactly as docs/format.md defines it, in plain PyTorch.

Shapes in the comments: B batch, T tokens, D dim, H query heads, K key/value heads, E = D / H the width of a head.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from lai.config.schema import ModelShape
from lai.config.setting import SettingError, check_ranges
from lai.host.errors import UserError
from lai.model.document_attention import DocumentRows
from lai.model.loss import linear_cross_entropy
from lai.model.precision import converted, product_dtype
from lai.model.rms_norm import RMSNorm


@dataclass(frozen=True, kw_only=True)
class ModelConfig(ModelShape):
    """The shape of a model, with the names of the file header; `n_kv_heads` may be given as None, for `n_heads`.

    Raises:
        UserError: a size is out of its range, or sizes do not divide as attention needs.
    """

    vocab_size: int
    if TYPE_CHECKING:
        n_kv_heads: int

    def __post_init__(self) -> None:
        if self.n_kv_heads is None:
            object.__setattr__(self, "n_kv_heads", self.n_heads)
        try:
            check_ranges(self)
        except SettingError as error:
            raise UserError(f"model.{error}") from None
        if self.vocab_size < 1:
            raise UserError(f"model.vocab_size is {self.vocab_size}; it must be at least 1")
        if self.dim % self.n_heads:
            raise UserError(f"model.dim {self.dim} is not divisible by model.n_heads {self.n_heads}")
        if self.head_dim % 2:
            raise UserError(
                f"model.dim / model.n_heads is {self.head_dim}; rotary embedding needs an even width of a head"
            )
        if self.n_heads % self.n_kv_heads:
            raise UserError(f"model.n_heads {self.n_heads} is not divisible by model.n_kv_heads {self.n_kv_heads}")

    @classmethod
    def of(cls, shape: ModelShape, vocab_size: int) -> "ModelConfig":
        """The `model` group with the size of the vocabulary that was built."""
        return cls(**{item.name: getattr(shape, item.name) for item in fields(ModelShape)}, vocab_size=vocab_size)

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def kv_dim(self) -> int:
        return self.head_dim * self.n_kv_heads

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def parameter_counts(self) -> tuple[int, int]:
        """The number of parameters, and the number without embedding and output matrix."""
        attention = self.dim * (2 * self.dim + 2 * self.kv_dim)
        inner = self.n_layers * (attention + 3 * self.dim * self.hidden_dim + 2 * self.dim) + self.dim
        outer = self.vocab_size * self.dim * (1 if self.tie_embeddings else 2)
        return inner + outer, inner


def rotary_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """The cosines and sines of pos · theta^(-2i / head_dim), each (max_seq_len, head_dim), float32.

    Each row holds them twice, once for each half of a head; the sines of the first half are negated.
    """
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    angles = torch.outer(torch.arange(config.max_seq_len, dtype=torch.float32), config.rope_theta**-exponents)
    return torch.cat((angles.cos(), angles.cos()), dim=1), torch.cat((-angles.sin(), angles.sin()), dim=1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + E/2) of every head: the two halves, not neighbours (Su et al. 2021).

    Args:
        x: (B, T, heads, E).
        cos, sin: (T, 1, E), rows of `rotary_tables`.
    """
    result: Tensor = _Rotation.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return result


class _Rotation(torch.autograd.Function):
    """The gradient is the opposite rotation, which takes fewer operations than differentiating each step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        exact = x.float()
        exchanged = exact.roll(exact.shape[-1] // 2, -1).mul_(sin)
        return converted(torch.addcmul(exchanged, exact, cos), x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return rotate(gradient, cos, -sin), None, None


class KVCache:
    """Keys and values of earlier tokens, so that decoding processes each token once."""

    def __init__(self, config: ModelConfig, batch: int = 1, device: torch.device | str = "cpu") -> None:
        shape = (config.n_layers, 2, batch, config.n_kv_heads, config.max_seq_len, config.head_dim)
        self._store = torch.zeros(shape, device=device)
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's keys and values (B, K, T, E) behind the earlier ones and return all of them."""
        end = self.length + keys.shape[2]
        self._store[layer, 0, :, :, self.length : end] = keys
        self._store[layer, 1, :, :, self.length : end] = values
        return self._store[layer, 0, :, :, :end], self._store[layer, 1, :, :, :end]


Mask = DocumentRows | Tensor | None  # None: each token sees all before it


class Attention(nn.Module):
    """Causal self-attention with rotary positions; query head h reads key/value head h / (H / K).

    Three parts, which a `Block` combines: `project`, `mix` and `wo`. On the CPU, `mix` is never compiled.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.wq = nn.Linear(config.dim, config.dim, bias=False)
        self.wk = nn.Linear(config.dim, config.kv_dim, bias=False)
        self.wv = nn.Linear(config.dim, config.kv_dim, bias=False)
        self.wo = nn.Linear(config.dim, config.dim, bias=False)

    def project(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, T, H, E) and keys (B, T, K, E), rotated to their positions, and values (B, T, K, E)."""
        heads = (*x.shape[:2], -1, self.config.head_dim)
        # Rotated before the transpose: attention's result then has the layout that wo reads, and is stored once.
        return rotate(self.wq(x).view(heads), *rotary), rotate(self.wk(x).view(heads), *rotary), self.wv(x).view(heads)

    def mix(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Mask, cache: KVCache | None, layer: int
    ) -> Tensor:
        """The attention-weighted values of each token, (B, T, D), the input of wo."""
        if isinstance(mask, DocumentRows):
            return mask.attend(queries, keys, values)
        queries, keys, values = (tensor.transpose(1, 2) for tensor in (queries, keys, values))
        if cache is not None:
            keys, values = cache.append(layer, keys, values)
        groups = self.config.n_heads // self.config.n_kv_heads
        if groups > 1:
            keys, values = keys.repeat_interleave(groups, dim=1), values.repeat_interleave(groups, dim=1)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=mask is None)
        return mixed.transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    """w_down · (act(w_gate · x) * (w_up · x)): SwiGLU, or GEGLU with the exact GELU (Shazeer 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = F.silu if config.activation == "silu" else F.gelu
        self.w_gate = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w_up = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w_down = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_down(self.activation(self.w_gate(x)) * self.w_up(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind its own norm and added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attn_norm = RMSNorm(config.dim, config.norm_eps)
        self.attn = Attention(config)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)
        self.ffn = FeedForward(config)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Mask, cache: KVCache | None, layer: int
    ) -> Tensor:
        queries, keys, values = self.before_attention(x, rotary)
        return self.after_attention(x, self.attn.mix(queries, keys, values, mask, cache, layer))

    def before_attention(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the layer's input (B, T, D)."""
        return self.attn.project(self.attn_norm(x), rotary)

    def after_attention(self, x: Tensor, mixed: Tensor) -> Tensor:
        """The layer's result (B, T, D), from its input and the result of `Attention.mix`, both (B, T, D)."""
        x = x + self.attn.wo(mixed)
        return x + self.ffn(self.ffn_norm(x))  # type: ignore[no-any-return]


def document_mask(documents: Tensor, dtype: torch.dtype) -> Tensor:
    """The attention mask of packed windows: a token sees earlier tokens of its own document.

    Args:
        documents: (B, T), the number of each token's document.
        dtype: of the queries; a boolean mask would be converted in each layer, and stored by each.

    Returns:
        (B, 1, T, T), 0 where row may read column, minus infinity elsewhere.
    """
    length = documents.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    seen = (documents[:, :, None] == documents[:, None, :]).logical_and(causal).unsqueeze(1)
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, -math.inf)


class Transformer(nn.Module):
    """Token ids to the logits of the next token.

    Rotary positions enter attention only as differences, so a document inside a packed window (`documents`) gives
    the same result as alone at position 0.

    With `recomputes_activations` a layer keeps only its input for the backward pass and recomputes the rest: less
    memory, a third more computing (Chen et al. 2016).
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embed = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.final_norm = RMSNorm(config.dim, config.norm_eps)
        self.output = None if config.tie_embeddings else nn.Linear(config.dim, config.vocab_size, bias=False)
        cos, sin = rotary_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.recomputes_activations = False
        self.initialize()

    def initialize(self) -> None:
        """Draw the weights so that the first loss is ln(vocab_size).

        Matrices get 0.4 / sqrt(fan-in) (GPT-2's 0.02 at a width of 400, carried over to every width); the two that
        write into the residual stream are divided by sqrt(2 · n_layers) as in GPT-2. The embedding doubles as the
        output matrix: 0.3 / sqrt(dim) keeps the spread of the first logits at 0.3, so they cost 0.3² / 2 nats.
        """
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                continue
            std = (0.3 if name in ("token_embed.weight", "output.weight") else 0.4) / math.sqrt(parameter.shape[1])
            if name.endswith(("wo.weight", "w_down.weight")):
                std /= math.sqrt(2 * self.config.n_layers)
            nn.init.normal_(parameter, std=std)

    def forward(
        self,
        tokens: Tensor,
        documents: Tensor | None = None,
        cache: KVCache | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """The logits (B, T, vocab_size) for token ids (B, T), or with `targets` the loss.

        Args:
            tokens: token ids.
            documents: (B, T), the document each token belongs to; attention stays inside a document, whose tokens
                are contiguous.
            cache: the tokens before these; it grows by T.
            targets: (B, T), the ids to predict or `IGNORE_INDEX`; returned is their summed negative log-likelihood
                in nats, for which the logits are never all in memory.

        Raises:
            ValueError: more tokens than `max_seq_len`.
        """
        start = 0 if cache is None else cache.length
        length = tokens.shape[1]
        if start + length > self.config.max_seq_len:
            raise ValueError(f"{start + length} tokens do not fit into max_seq_len {self.config.max_seq_len}")
        rotary = (self.cos[start : start + length, None], self.sin[start : start + length, None])
        x = self.token_embed(tokens)  # (B, T, D)
        mask: Mask = None
        if documents is not None:
            # Rows differ in shape from batch to batch: a compiled network would recompile, a GPU would have to wait.
            if documents.device.type == "cpu" and not torch.compiler.is_compiling():
                mask = DocumentRows(documents, self.config.n_heads, self.config.n_kv_heads)
            else:
                mask = document_mask(documents, product_dtype(x))
        elif start > 0:
            total = start + length
            mask = torch.ones(length, total, dtype=torch.bool, device=tokens.device).tril(diagonal=start)
        recompute = self.recomputes_activations and cache is None and torch.is_grad_enabled()
        for index, layer in enumerate(self.layers):
            if recompute:
                x = checkpoint(layer, x, rotary, mask, None, index, use_reentrant=False)
            else:
                x = layer(x, rotary, mask, cache, index)
        if cache is not None:
            cache.length += length
        if targets is not None:
            return self.loss(x, targets)
        return F.linear(self.final_norm(x), self.output_weight())

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """The summed negative log-likelihood of `targets` (B, T), given the last layer's result `x` (B, T, D)."""
        return linear_cross_entropy(self.final_norm(x).flatten(0, 1), self.output_weight(), targets.flatten())

    def compile_around_attention(self, rows: int, **options: Any) -> None:
        """Compile what lies before and after the attention of each layer, and the loss, in place.

        For the CPU: rows of documents (`DocumentRows`) differ in shape from batch to batch, so a network compiled as a
        whole would recompile each time. Batches of another size and validation run uncompiled.

        Args:
            rows: of a batch, B.
            options: of `torch.compile`.
        """
        for layer in self.layers:
            assert isinstance(layer, Block)
            layer.before_attention = _compiled(layer.before_attention, rows, options)  # type: ignore[method-assign]
            layer.after_attention = _compiled(layer.after_attention, rows, options)  # type: ignore[method-assign]
        self.loss = _compiled(self.loss, rows, options)  # type: ignore[method-assign]

    def output_weight(self) -> Tensor:
        """The output matrix (vocab_size, dim): the embedding itself where it is tied."""
        return self.token_embed.weight if self.output is None else self.output.weight


def _compiled(function: Callable[..., Any], rows: int, options: dict[str, Any]) -> Callable[..., Any]:
    """`function`, compiled for calls with gradients whose first argument has `rows` rows; uncompiled otherwise."""
    compiled = torch.compile(function, **options)

    def either(x: Tensor, *others: Any) -> Any:
        return (compiled if torch.is_grad_enabled() and len(x) == rows else function)(x, *others)

    return either


def is_causal(network: Transformer) -> bool:
    """Whether predictions do not depend on later tokens, tested on the network's device."""
    device = network.token_embed.weight.device
    half = min(32, network.config.max_seq_len // 2)
    generator = torch.Generator().manual_seed(0)
    tokens, others = torch.randint(network.config.vocab_size, (2, 1, 2 * half), generator=generator).to(device)
    others[:, :half] = tokens[:, :half]
    documents = torch.zeros_like(tokens)
    with torch.no_grad():
        # forward itself, so that nothing is compiled for this one length
        seen, other = (network.forward(row, documents)[:, :half].float() for row in (tokens, others))
    return torch.allclose(seen, other, rtol=1e-3, atol=1e-3)
