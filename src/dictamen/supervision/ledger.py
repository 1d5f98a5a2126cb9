"""What supervision was used, what was deferred and why: counts, no text, for the log of each epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dictamen.supervision.constraint import Deferred


@dataclass
class Ledger:
    """Counts over the patches that were drawn; a constraint counts once for every patch that it acted in.

    Ledgers of several workers or steps are added. `used` counts (label, what the constraint said), `deferred` counts
    (label, reason); the label is "" for statements on organs without a label.
    """

    patches: int = 0
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    deferred: Counter[tuple[str, str]] = field(default_factory=Counter)

    def use(self, label: str, what: str) -> None:
        """Count one constraint that acts in a patch."""
        self.used[label, what] += 1

    def defer(self, label: str, reason: str) -> None:
        """Count one constraint that can't act in a patch."""
        self.deferred[label, reason] += 1

    def defer_all(self, deferred: Iterable[Deferred]) -> None:
        """Count what was deferred before any patch was drawn."""
        for item in deferred:
            self.defer(item.label, item.reason)

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(self.patches + other.patches, self.used + other.used, self.deferred + other.deferred)

    def to_json(self) -> dict[str, object]:
        """{"patches": n, "used": {label: {what: n}}, "deferred": {label: {reason: n}}}, sorted."""
        return {"patches": self.patches, "used": _nested(self.used), "deferred": _nested(self.deferred)}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Ledger:
        """Read what `to_json` wrote; other keys are left alone."""
        patches = value.get("patches", 0)
        return cls(patches if isinstance(patches, int) else 0, _flat(value.get("used")), _flat(value.get("deferred")))


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (label, what), count in sorted(counts.items()):
        nested.setdefault(label, {})[what] = count
    return nested


def _flat(nested: object) -> Counter[tuple[str, str]]:
    if not isinstance(nested, Mapping):
        return Counter()
    return Counter({(label, what): count for label, row in nested.items() for what, count in row.items()})
