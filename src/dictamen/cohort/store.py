"""A cohort on disk, opened for reading: studies, findings, reports, and patches of their arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from dictamen.cohort import arrays
from dictamen.cohort.manifest import ARRAYS, COHORT_JSON, FINDINGS_PARQUET, REPORTS_PARQUET, STUDIES_PARQUET, Manifest
from dictamen.cohort.splits import SPLITS
from dictamen.errors import InputError, UsageError

if TYPE_CHECKING:
    import polars

    from dictamen.reports.schema import ReportFindings

Kind = Literal["image", "organs", "lesions"]
KINDS: tuple[Kind, ...] = ("image", "organs", "lesions")
HAVING = {"lesions": "has_lesions", "organs": "has_organs", "report": "has_report"}
"""What `Cohort.ids(having=...)` may ask for, and the column that says so."""

Triple = tuple[int, int, int]
FloatTriple = tuple[float, float, float]


@dataclass(frozen=True)
class CohortInfo:
    """What holds for all studies.

    Attributes:
        spacing_mm: training spacing (level 1) along x, y, z.
        organ_labels: value in the organ maps -> structure id.
        lesion_labels: value in the lesion maps -> lesion label name.
    """

    spacing_mm: FloatTriple
    organ_labels: Mapping[int, str]
    lesion_labels: Mapping[int, str]


class StudyArrays:
    """One study's image and label maps, canonical RAS+, axes (x, y, z); `shape` and the like are at training level."""

    def __init__(self, folder: Path, study_id: str) -> None:
        self.folder = folder
        self.study_id = study_id
        self._attributes = arrays.read_attributes(folder)
        self._levels: dict[str, int] = self._attributes["levels"]
        self._stores: dict[tuple[str, int], Any] = {}

    @property
    def shape(self) -> Triple:
        """Voxels along x, y, z."""
        x, y, z = self._grid(1)["shape"]
        return x, y, z

    @property
    def spacing_mm(self) -> FloatTriple:
        """Distance between voxel centres, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """4x4, voxel index at training level to mm, RAS+."""
        return np.asarray(self._grid(1)["affine"], dtype=np.float64)

    @property
    def native_shape(self) -> Triple:
        """Voxels of level 0 along x, y, z."""
        x, y, z = self._grid(0)["shape"]
        return x, y, z

    @property
    def native_affine(self) -> npt.NDArray[np.float64]:
        """4x4 of level 0."""
        return np.asarray(self._grid(0)["affine"], dtype=np.float64)

    @property
    def lesion_names_annotated(self) -> tuple[str, ...]:
        """Lesion labels whose absence in the map means absence in the patient."""
        return tuple(self._attributes["lesion_names_annotated"])

    @property
    def organ_names_annotated(self) -> tuple[str, ...]:
        """Structure ids whose absence in the map means absence in the image."""
        return tuple(self._attributes["organ_names_annotated"])

    @cached_property
    def boxes(self) -> dict[str, npt.NDArray[np.int64]]:
        """ "organ:<id>" | "lesion:<name>" -> [[lo], [hi]] (hi exclusive) of all its voxels at training level."""
        return {name: np.asarray(box, dtype=np.int64) for name, box in self._attributes["boxes"].items()}

    @cached_property
    def component_boxes(self) -> dict[str, npt.NDArray[np.int64]]:
        """ "lesion:<name>" -> [components, 2, 3], one box a connected component, largest first."""
        return {name: np.asarray(boxes, dtype=np.int64) for name, boxes in self._attributes["component_boxes"].items()}

    def has(self, kind: Kind) -> bool:
        """Whether the study has this array."""
        return kind in self._levels

    def level(self, kind: Kind, level: Literal[0, 1] = 1) -> npt.NDArray[Any]:
        """A whole array [X, Y, Z]: level 0 at native, 1 at training spacing.

        A study without such a label map gives zeros: ask `lesion_names_annotated` what a zero means.
        """
        shape = self._grid(level)["shape"]
        if not self.has(kind):
            return np.zeros(shape, dtype=np.uint8)
        return arrays.read_region(self._store(kind, level), (0, 0, 0), shape)

    def window(self, kind: Kind, lo: Sequence[int], hi: Sequence[int], level: Literal[0, 1] = 0) -> npt.NDArray[Any]:
        """Voxels [lo, hi) of a level, both inside the array; for viewers, which want a slice of a large volume."""
        if not self.has(kind):
            return np.zeros([b - a for a, b in zip(lo, hi, strict=True)], dtype=np.uint8)
        return arrays.read_region(self._store(kind, level), lo, hi)

    def patch(self, kind: Kind, start: Sequence[int], size: Sequence[int]) -> npt.NDArray[Any]:
        """Voxels [start, start + size) at training level; what lies outside is -1024 (image) or 0 (label maps).

        A study without such a label map gives zeros: ask `lesion_names_annotated` what a zero means.
        """
        if kind not in KINDS:
            raise UsageError("There is no such array.", where=self.study_id, got=kind, expected=f"one of {KINDS}")
        window = tuple(int(n) for n in size)
        begin, end = np.asarray(start, dtype=np.int64), np.asarray(start, dtype=np.int64) + window
        lo, hi = np.maximum(begin, 0), np.minimum(end, self.shape)
        if not self.has(kind):
            return np.zeros(window, dtype=np.uint8)
        store = self._store(kind, 1)
        if (lo == begin).all() and (hi == end).all():
            return arrays.read_region(store, lo.tolist(), hi.tolist())
        patch = np.full(window, arrays.FILL[kind], dtype=store.dtype.numpy_dtype)
        if (lo < hi).all():
            inside = tuple(slice(a, b) for a, b in zip(lo - begin, hi - begin, strict=True))
            patch[inside] = arrays.read_region(store, lo.tolist(), hi.tolist())
        return patch

    def _grid(self, level: int) -> dict[str, Any]:
        grids: list[dict[str, Any]] = self._attributes["grids"]
        return grids[min(level, len(grids) - 1)]

    def _store(self, kind: str, level: int) -> Any:
        level = min(level, self._levels[kind] - 1)
        if (kind, level) not in self._stores:
            self._stores[kind, level] = arrays.open_array(self.folder / kind / str(level))
        return self._stores[kind, level]

    def __getstate__(self) -> dict[str, Any]:
        """Without open arrays, so that data loader workers open their own."""
        return {**self.__dict__, "_stores": {}}


class Cohort:
    """A cohort folder, opened with `Cohort.open`; can be sent to worker processes."""

    def __init__(self, path: Path, manifest: Manifest, studies: polars.DataFrame) -> None:
        self.path = path
        self.manifest = manifest
        self.studies = studies
        self._opened: dict[str, StudyArrays] = {}

    @classmethod
    def open(cls, path: Path | str) -> Cohort:
        """Open the cohort at `path`.

        Raises:
            InputError: it is no cohort, or building it was interrupted.
        """
        import polars

        path = Path(path)
        manifest = Manifest.read(path / COHORT_JSON)
        if manifest.status != "complete":
            raise InputError(
                "The cohort is not complete.", where=path, next_step="run `dictamen cohort build` again with --resume"
            )
        try:
            studies = polars.read_parquet(path / STUDIES_PARQUET)
        except (OSError, polars.exceptions.PolarsError) as error:
            raise InputError(
                "The table of studies can't be read.",
                where=path / STUDIES_PARQUET,
                next_step="run `dictamen cohort build` again with --resume",
            ) from error
        return cls(path, manifest, studies)

    @cached_property
    def info(self) -> CohortInfo:
        """What holds for all studies."""
        return CohortInfo(self.manifest.spacing_mm, self.manifest.organ_labels, self.manifest.lesion_labels)

    def ids(self, split: str | None = None, having: Sequence[str] = ()) -> list[str]:
        """Study ids in the order of the table, of one split or all, that have all of `having`.

        Args:
            split: "train", "val", "test" or None.
            having: any of "lesions", "organs" (label maps), "report" (a report or findings).

        Raises:
            UsageError: an unknown split or property.
        """
        import polars

        if split is not None and split not in SPLITS:
            raise UsageError("There is no such split.", got=split, expected=f"one of {SPLITS}")
        having = (having,) if isinstance(having, str) else having
        if unknown := [name for name in having if name not in HAVING]:
            raise UsageError("`having` names an unknown property.", got=unknown, expected=f"any of {sorted(HAVING)}")
        conditions = [polars.col(HAVING[name]) for name in having]
        conditions += [polars.col("split") == split] if split is not None else []
        chosen = self.studies.filter(*conditions) if conditions else self.studies
        return list(chosen["study_id"])

    def study(self, study_id: str) -> StudyArrays:
        """Image and label maps of one study.

        Raises:
            InputError: no such study.
        """
        if study_id not in self._opened:
            if study_id not in self._known:
                raise InputError("The cohort has no such study.", where=self.path, got=study_id)
            self._opened[study_id] = StudyArrays(self.path / ARRAYS / f"{study_id}.zarr", study_id)
        return self._opened[study_id]

    def findings(self, study_id: str) -> ReportFindings | None:
        """What the study's report says; None where there is no report."""
        return self._findings.get(study_id)

    def with_findings(self, findings: Mapping[str, ReportFindings]) -> Cohort:
        """The same cohort with other findings of some studies; nothing on disk changes."""
        other = Cohort(self.path, self.manifest, self.studies)
        other._findings = {**self._findings, **findings}
        return other

    def report(self, study_id: str) -> str | None:
        """The report's text; None where there is none."""
        return self._reports.get(study_id)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.studies["study_id"])

    @cached_property
    def _findings(self) -> dict[str, ReportFindings]:
        from dictamen.reports import table

        path = self.path / FINDINGS_PARQUET
        return {report.study_id: report for report in table.read_parquet(path)}

    @cached_property
    def _reports(self) -> dict[str, str]:
        import polars

        path = self.path / REPORTS_PARQUET
        if not path.exists():  # a cohort may be passed on without its texts
            return {}
        table = polars.read_parquet(path)
        return dict(zip(table["study_id"], table["report"], strict=True))

    def __getstate__(self) -> dict[str, Any]:
        """Without open arrays, so that data loader workers open their own."""
        return {**self.__dict__, "_opened": {}}
