"""A constraint: what one source says about one region. Reports, scores and tags all become these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dictamen.interval import Interval

Source = Literal["report", "score", "tag", "mask"]


@dataclass(frozen=True, slots=True)
class Region:
    """A place named in words: an organ, optionally one side, parts of it, a slab of image numbers.

    `side` None or "bilateral" means both; `parts` are alternatives joined ("upper pole", "mid" = their union).
    `images` are the numbers of the slices that show the lesions: None where the report names none, empty where it does
    not name one of each lesion, or of several series.
    """

    structure: str
    side: Literal["left", "right", "bilateral"] | None = None
    parts: tuple[str, ...] = ()
    images: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LesionSize:
    """One lesion that must be in the region.

    Args:
        diameters_mm: the three axes, largest first, completed from what was dictated; None where no size is known.
        volume_mm3: the volumes that the dictated size allows.
    """

    diameters_mm: tuple[float, float, float] | None
    volume_mm3: Interval


@dataclass(frozen=True, slots=True)
class Constraint:
    """How many, how much, how large, in which region, for which output label.

    Absent is count [0, 0]; unknown is a wide interval. `lesions` lists those known one by one, largest first; there
    may be more (count.hi > len(lesions)). `rest` says what the region's other voxels are: "negative" where the report
    is complete on it, "ignore" where it is not ("multiple", unknown sizes, "possible").
    """

    label: str
    region: Region
    count: Interval
    volume_mm3: Interval
    lesions: tuple[LesionSize, ...] = ()
    attenuation: str | None = None
    rest: Literal["negative", "ignore"] = "negative"
    overlap: Interval | None = None
    direction: Literal["over", "under", "mixed", "none"] | None = None
    weight: float = 1.0
    source: Source = "report"
    spans: tuple[tuple[int, int], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Deferred:
    """Something that was said and could not become supervision, with the reason; counted in each epoch's log."""

    study_id: str
    label: str
    reason: str
