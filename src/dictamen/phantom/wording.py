"""Small grammar: sizes as dictated, places in words, articles and plurals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

READER_ERROR = 0.045
"""Standard deviation of a radiologist's diameter, relative: about +-8 %."""
AXIS_ERROR = 0.02
"""The same between the axes of one lesion."""
AXES_STATED = (0.5, 0.36, 0.14)
"""How often one, two or three diameters are dictated."""
NUMBERS = {2: "two", 3: "three", 4: "four"}
ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII")


@dataclass(frozen=True)
class Size:
    """A size as dictated, and its numbers in mm in the same order."""

    text: str
    millimetres: tuple[float, ...]


def stated_size(
    diameters_mm: Sequence[float], *, centimetres: bool, rng: np.random.Generator, axes: int | None = None
) -> Size:
    """What a radiologist measures and dictates of (long, perpendicular, craniocaudal) diameters."""
    axes = axes or int(rng.choice([1, 2, 3], p=AXES_STATED))
    error = rng.normal(1, READER_ERROR)
    measured = [max(2.0, d * error * rng.normal(1, AXIS_ERROR)) for d in diameters_mm[:axes]]
    measured[:2] = sorted(measured[:2], reverse=True)
    rounded = tuple(float(round(d)) for d in measured)
    cross = str(rng.choice([" x ", " x ", "x", " × "]))
    values = [f"{d / 10:.1f}" if centimetres else f"{d:.0f}" for d in rounded]
    unit = "cm" if centimetres else "mm"
    return Size(f"{cross.join(values)} {unit}", rounded)


def place_words(
    structure: str, side: str | None, part: str | None, rng: np.random.Generator
) -> tuple[str, tuple[str, ...]]:
    """The place in words ("in the upper pole of the left kidney"), and the parts it names."""
    if structure == "liver":
        return _liver_words(part, rng)
    if structure == "kidney":
        if part is None:
            return f"in the {side} kidney", ()
        words = str(rng.choice(["interpolar region", "mid pole"])) if part == "interpolar" else part
        return f"in the {words} of the {side} kidney", (part,)
    if structure == "pancreas":
        if part is None:
            return "in the pancreas", ()
        return str(rng.choice([f"in the pancreatic {part}", f"in the {part} of the pancreas"])), (part,)
    names = {
        "spleen": "in the spleen",
        "adrenal_gland": f"in the {side} adrenal gland",
        "lung_lower_lobe": f"in the {side} lower lobe",
    }
    return names[structure], ("lower lobe",) if structure == "lung_lower_lobe" else ()


def _liver_words(part: str | None, rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    if part is None:
        return "in the liver", ()
    number = int(part.split()[-1])
    if number > 1 and rng.random() < 0.25:
        lobe = "right" if number >= 5 else "left"
        return f"in the {lobe} hepatic lobe", (f"{lobe} lobe",)
    name = str(rng.choice([f"segment {number}", f"segment {ROMAN[number]}"]))
    return str(rng.choice([f"in {name} of the liver", f"in hepatic {name}", f"in liver {name}"])), (part,)


def plural(noun: str) -> str:
    """The plural of a lesion's name."""
    return noun[:-2] + "es" if noun.endswith("is") else noun + "es" if noun.endswith("ss") else noun + "s"


def fill(template: str, **words: str) -> str:
    """Fill a template; {Name} is {name} with a capital; articles and blanks are put right."""
    capitals = {name.capitalize(): word[:1].upper() + word[1:] for name, word in words.items()}
    text = re.sub(r"\s+", " ", template.format(**words, **capitals)).strip()
    text = re.sub(r"\b([Aa]) (?=(?:[aeio]|8|11 |11x|18|u(?!ni)))", r"\1n ", text)
    return text[0].upper() + text[1:]
