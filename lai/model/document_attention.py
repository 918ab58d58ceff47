"""Attention within the documents of packed windows, for CPUs.

With a mask over whole windows, every pair of tokens is computed, and pairs of different documents are discarded: seven
eighths of the pairs, for documents of two dozen tokens in windows of 256. Here documents of similar length are grouped,
one document a row, and each row is plain causal attention.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

MIN_WIDTH = 32  # rows of 16 compute fewer pairs, but are no faster
# Empty rows fill each width up to a multiple of an eighth of the batch. With few different tensor sizes, the allocator
# reuses memory; otherwise memory grows for hundreds of steps.
_SHARES = 8
MAX_SCORES = 128  # rows wider than this never have all their scores in memory


@dataclass(frozen=True)
class _Places:
    """Where the heads of the tokens go: all of a row's first head, then all of its second, row by row."""

    sources: Tensor  # (places,), the head of a token in each place, counted token by token; 0 where there is none
    places: Tensor  # (B · T · heads,), the place of each
    empty: Tensor  # the places where there is none

    @classmethod
    def of(cls, heads: int, row_starts: Tensor, within: Tensor, widths: Tensor, n_places: int) -> "_Places":
        """For each token: where its row starts, in tokens, where in the row it stands, how wide the row is."""
        places = (row_starts * heads + within)[:, None] + torch.arange(heads) * widths[:, None]
        places = places.flatten()
        sources = torch.full((n_places * heads,), -1)
        sources[places] = torch.arange(len(places))
        empty = (sources < 0).nonzero().flatten()
        return cls(sources.clamp_(min=0), places, empty)


class DocumentRows:
    """The tokens of a batch in rows of one document each.

    A row has as many places as the first of 32, 64, 128 and so on, at most the window, that its document fits into.

    Args:
        documents: (B, T), the document each token belongs to; those of one document stand side by side.
        n_heads: of the queries.
        n_kv_heads: of the keys and values.
    """

    def __init__(self, documents: Tensor, n_heads: int, n_kv_heads: int) -> None:
        window, total = documents.shape[1], documents.numel()
        begins = torch.ones_like(documents, dtype=torch.bool)
        begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
        starts = begins.flatten().nonzero().flatten()
        sizes = torch.diff(starts, append=starts.new_tensor([total]))
        doubled = [MIN_WIDTH << times for times in range(window.bit_length())]
        widths = torch.tensor([width for width in doubled if width < window] + [window])

        groups = torch.bucketize(sizes, widths)  # which of the widths each document has
        used = torch.bincount(groups, minlength=len(widths))
        multiples = (total // _SHARES // widths).clamp(min=1)
        rows = (used + multiples - 1) // multiples * multiples
        ends = (rows * widths).cumsum(0)
        in_order = groups.argsort(stable=True)
        numbers = torch.empty_like(groups)  # in their group
        numbers[in_order] = torch.arange(len(groups)) - (used.cumsum(0) - used)[groups[in_order]]
        own_widths = widths[groups]
        row_starts = (ends - rows * widths)[groups] + numbers * own_widths

        within = torch.arange(total) - starts.repeat_interleave(sizes)
        layout = (row_starts.repeat_interleave(sizes), within, own_widths.repeat_interleave(sizes), int(ends[-1]))
        self._queries = _Places.of(n_heads, *layout)
        self._keys = self._queries if n_kv_heads == n_heads else _Places.of(n_kv_heads, *layout)
        self._groups = [group for group in zip(rows.tolist(), widths.tolist(), strict=True) if group[0]]

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Causal attention inside each document.

        Args:
            queries: (B, T, H, E).
            keys: (B, T, K, E), as are the values; query head h reads key/value head h / (H / K).

        Returns:
            (B, T, H · E).
        """
        parts = zip(
            self._placed(queries, self._queries),
            self._placed(keys, self._keys),
            self._placed(values, self._keys),
            strict=True,
        )
        mixed = torch.cat([_attend(*part) for part in parts])
        put = self._queries
        result: Tensor = _Rearranged.apply(mixed, put.places, put.sources, put.empty)  # type: ignore[no-untyped-call]
        return result.view(*queries.shape[:2], -1)

    def _placed(self, x: Tensor, to: _Places) -> list[Tensor]:
        """(B, T, heads, E) to (rows, heads, width, E) for each group."""
        heads = x.shape[2]
        placed: Tensor = _Rearranged.apply(x.flatten(0, 2), to.sources, to.places, None)  # type: ignore[no-untyped-call]
        parts = torch.split(placed, [rows * heads * width for rows, width in self._groups])
        return [part.view(rows, heads, width, -1) for part, (rows, width) in zip(parts, self._groups, strict=True)]


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention in rows of one width: (rows, heads, width, E) to (rows · H · width, E)."""
    _, n_heads, width, head_dim = queries.shape
    if width > MAX_SCORES:
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
        return mixed.reshape(-1, head_dim)
    shared = n_heads // keys.shape[1]
    # The queries that share a head of keys and values stand one below the other.
    queries, keys, values = queries.view(-1, shared * width, head_dim), keys.flatten(0, 1), values.flatten(0, 1)
    mask = queries.new_full((width, width), -math.inf).triu(1).repeat(shared, 1)
    scores = torch.baddbmm(mask, queries, keys.transpose(1, 2), alpha=1 / math.sqrt(head_dim))
    return (scores.softmax(-1) @ values).flatten(0, 1)


class _Rearranged(torch.autograd.Function):
    """x[index], whose gradient is that of the result at `back`, and none at the rows of it named by `unused`.

    PyTorch's own gradient of an index accumulates, because it cannot know that each row of `x` is used once. That takes
    longer than the rest of attention.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, back: Tensor, unused: Tensor | None) -> Tensor:
        ctx.back, ctx.unused = back, unused
        return x.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        result = gradient.index_select(0, ctx.back)
        return (result if ctx.unused is None else result.index_fill_(0, ctx.unused, 0)), None, None, None
