"""Text to numbers without a vocabulary file: each word is a handful of hashes, of itself and of its trigrams.

So there is nothing to download or to train, a word that was never seen ("nephrourectomy") still shares trigrams with
those that were, and no word of a report, which could be a name, is ever stored in a model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import torch
from jaxtyping import Int
from torch import Tensor

BUCKETS = 8192
"""Of the hash; reports use some thousand words, and two that share a bucket still differ in their trigrams."""
HASHES = 12
"""Of a word at most: itself and its first eleven trigrams; longer words are told apart by then."""
PADDING = 0
_WORD = re.compile(r"[a-z]+|\d+(?:[.,]\d+)?|[.;:]")
_KEPT_WORDS = 1 << 16


@dataclass(frozen=True)
class Words:
    """Texts as numbers.

    Attributes:
        hashes: [N, T, HASHES], 0 padding, else a bucket from 1 on.
    """

    hashes: Int[Tensor, "N T H"]

    def to(self, device: torch.device) -> Words:
        """On `device`."""
        return Words(self.hashes.to(device, non_blocking=True))


def encode(texts: Sequence[str], *, most_words: int = 256) -> Words:
    """Words of each text, the first `most_words`; numbers are rounded to two digits, punctuation ends a sentence."""
    rows = [[_hashes(word) for word in _words(text)[:most_words]] for text in texts]
    longest = max(1, *(len(row) for row in rows)) if rows else 1
    out = torch.zeros(len(rows), longest, HASHES, dtype=torch.int64)
    for index, row in enumerate(rows):
        if row:
            out[index, : len(row)] = torch.tensor(row)
    return Words(out)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return [_number(word) if word[0].isdigit() else word for word in _WORD.findall(plain)]


def _number(word: str) -> str:
    return f"{float(word.replace(',', '.')):.1e}"


@lru_cache(maxsize=_KEPT_WORDS)
def _hashes(word: str) -> tuple[int, ...]:
    framed = f"<{word}>"
    pieces = [framed, *(framed[i : i + 3] for i in range(len(framed) - 2) if len(framed) > 3)]
    found = [_bucket(piece) for piece in pieces[:HASHES]]
    return (*found, *[PADDING] * (HASHES - len(found)))


def _bucket(piece: str) -> int:
    return 1 + int.from_bytes(blake2b(piece.encode(), digest_size=8).digest(), "little") % (BUCKETS - 1)
