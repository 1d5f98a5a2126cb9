"""A first look at one study: headers only. What its labels are called, how fine its grid is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dictamen.cohort import names
from dictamen.cohort.manifest import Problem
from dictamen.cohort.source import MaskSource, SourceStudy
from dictamen.errors import InputError
from dictamen.imaging.dicom.series import ONLY

if TYPE_CHECKING:
    from dictamen.imaging.header import Header

UNNAMED_LESIONS = {1: "lesion"}
"""A lesion map of which nobody says what its values are: one label."""
NO_NAMES = (
    "The organ label map has no names for its values. Next: write labels.json beside studies.csv: "
    '{"organs": {"1": "liver", ...}}, or keep one mask a structure in a folder.'
)


@dataclass(frozen=True)
class NamedMasks:
    """A `MaskSource` whose labels have names of the vocabulary.

    Args:
        values: value in the label map -> structure id or lesion label name.
        known: every value that the label map may hold, with those of the other kind and those left out.
        masks: (name, file) where there is one mask a structure.
    """

    label_map: Path | None = None
    values: Mapping[int, str] | None = None
    known: frozenset[int] = frozenset()
    masks: tuple[tuple[str, Path], ...] = ()

    @property
    def annotated(self) -> tuple[str, ...]:
        """Names whose absence means absence in the patient."""
        given = self.values.values() if self.values is not None else (name for name, _ in self.masks)
        return tuple(sorted(set(given)))


@dataclass(frozen=True)
class Survey:
    """A study, its spacing along the canonical axes in mm (None where the header can't be read) and its labels."""

    study: SourceStudy
    spacing_mm: tuple[float, float, float] | None = None
    organs: NamedMasks | None = None
    lesions: NamedMasks | None = None
    problems: tuple[Problem, ...] = ()


def survey(study: SourceStudy) -> Survey:
    """Read the headers of one study; whatever is wrong with names becomes a problem, never an exception."""
    problems: list[Problem] = []
    organs = _organs(study, problems) if study.organs else None
    lesions = _lesions(study, problems) if study.lesions else None
    if organs and lesions and organs.label_map is not None and organs.label_map == lesions.label_map:
        both = organs.known | lesions.known
        organs, lesions = replace(organs, known=both), replace(lesions, known=both)
    return Survey(study, _canonical_spacing(study), organs, lesions, tuple(problems))


def _organs(study: SourceStudy, problems: list[Problem]) -> NamedMasks | None:
    source = study.organs
    if source is None:
        return None
    given = source.names
    if source.label_map is not None and given is None:
        header = _header(source.label_map, study.study_id)
        if header is None:
            return NamedMasks(source.label_map, {})
        given = header.label_names
        if not given:
            problems.append(Problem(study.study_id, "labels_without_names", "error", NO_NAMES, str(source.label_map)))
            return None
    ids: dict[str, str] = {}
    for name in [*(given or {}).values(), *source.masks]:
        if found := names.organ_id(name):
            ids[name] = found
        else:
            problems.append(_unknown_structure(study, name, source))
    return _named(source, given, ids)


def _lesions(study: SourceStudy, problems: list[Problem]) -> NamedMasks | None:
    source = study.lesions
    if source is None:
        return None
    given = source.names
    if source.label_map is not None and given is None:
        header = _header(source.label_map, study.study_id)
        given = (header.label_names if header else None) or UNNAMED_LESIONS
    called = [*(given or {}).values(), *source.masks]
    for name in called:
        if names.lesion_label(name) is None:
            problems.append(_unclear_lesion(study, name, source))
    return _named(source, given, dict(zip(called, called, strict=True)))


def _named(source: MaskSource, given: Mapping[int, str] | None, called: Mapping[str, str]) -> NamedMasks:
    if source.label_map is None:
        return NamedMasks(masks=tuple((called[name], file) for name, file in source.masks.items() if name in called))
    given = {value: name for value, name in (given or {}).items() if value != 0}
    values = {value: called[name] for value, name in given.items() if name in called}
    return NamedMasks(source.label_map, values, frozenset(given))


def _header(path: Path, study_id: str, series: str = ONLY) -> Header | None:
    """None where it can't be read: reading the voxels will say what is wrong with the file."""
    from dictamen.imaging.read import read_image_header

    try:
        return read_image_header(path, study_id, series=series)
    except (InputError, OSError):
        return None


def _canonical_spacing(study: SourceStudy) -> tuple[float, float, float] | None:
    from dictamen.imaging.geometry import canonical_axes

    header = _header(study.image, study.study_id, study.series)
    if header is None:
        return None
    x, y, z = (header.spacing_mm[axis] for axis in canonical_axes(header.affine)[0])
    return x, y, z


def _unknown_structure(study: SourceStudy, name: str, source: MaskSource) -> Problem:
    maybe = names.suggestions(name)
    hint = f" Did you mean {', '.join(maybe)}?" if maybe else ""
    return Problem(
        study.study_id,
        "unknown_structure",
        # a name in a table was written for us; a folder of masks may hold whatever another tool made
        "error" if source.masks == {} else "warning",
        f"`{name}` is no structure of the vocabulary; the label is left out.{hint}",
        str(source.masks.get(name) or source.label_map),
    )


def _unclear_lesion(study: SourceStudy, name: str, source: MaskSource) -> Problem:
    return Problem(
        study.study_id,
        "unclear_lesion_label",
        "warning",
        f"The lesion label `{name}` has no meaning that reports could speak of; masks can still be used. "
        "Expected: a name like liver_lesion or kidney_tumour.",
        str(source.masks.get(name) or source.label_map),
    )
