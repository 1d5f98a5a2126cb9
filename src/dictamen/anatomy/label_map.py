"""The table of a label map: which value is which structure or lesion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dictamen.anatomy.vocabulary import load
from dictamen.errors import InputError

BACKGROUND = 0
"""The value that no label may have."""
LARGEST_LABEL = 65535
"""Label maps are stored as uint16 at most."""


@dataclass(frozen=True)
class LabelNames(Mapping[int, str]):
    """Label value -> name, checked: values 1 to 65535, names unique and not empty.

    Raises:
        InputError: a value or a name that can't be.
    """

    names: Mapping[int, str]

    def __post_init__(self) -> None:
        for value, name in self.names.items():
            if not BACKGROUND < value <= LARGEST_LABEL:
                raise InputError(
                    "A label's value is out of range.",
                    got=f"{value}: {name!r}",
                    expected=f"1 to {LARGEST_LABEL}; 0 is the background",
                )
            if not name.strip():
                raise InputError("A label has no name.", got=f"{value}: {name!r}", next_step="name it in labels.json")
        doubles = sorted({name for name in self.names.values() if list(self.names.values()).count(name) > 1})
        if doubles:
            raise InputError("Two labels have the same name.", got=doubles)

    def __getitem__(self, value: int) -> str:
        return self.names[value]

    def __iter__(self) -> Iterator[int]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def values_of(self, name: str) -> list[int]:
        """Label values with exactly this name (none or one)."""
        return [value for value, other in self.names.items() if other == name]

    def structures(self) -> dict[int, str]:
        """Label value -> vocabulary id.

        Raises:
            InputError: a name that the vocabulary does not know; near names are offered.
        """
        return {value: structure_id(name) for value, name in self.names.items()}

    def unknown(self) -> dict[int, str]:
        """The labels whose name the vocabulary does not know."""
        return {value: name for value, name in self.names.items() if load().find(name) is None}

    @classmethod
    def from_json(cls, table: Mapping[str, str], *, where: object = None) -> LabelNames:
        """From the {"1": "liver"} of a labels.json or dataset.json; {"liver": 1} (nnU-Net) is understood too.

        A label "background" is left out.

        Raises:
            InputError: neither form.
        """
        try:
            pairs = [
                (int(value), str(name)) if str(value).isdecimal() else (int(name), str(value))
                for value, name in table.items()
            ]
        except (TypeError, ValueError):
            raise InputError(
                "The label table is not {value: name}.", where=where, got=dict(table), expected='{"1": "liver"}'
            ) from None
        names = {value: name for value, name in pairs if value != BACKGROUND}
        if len(names) != sum(value != BACKGROUND for value, _ in pairs):
            raise InputError("Two labels have the same value.", where=where, got=dict(table))
        return cls(names)


def structure_id(name: str) -> str:
    """The vocabulary id that a label's name means.

    Raises:
        InputError: the vocabulary does not know it.
    """
    found = load().find(name)
    if found is None:
        near = load().suggest(name)
        raise InputError(
            "Unknown structure in the label names.",
            got=repr(name),
            expected=f"one of {near}" if near else "a structure of the vocabulary",
            next_step="rename the label in labels.json",
        )
    return found.id
