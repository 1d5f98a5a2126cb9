"""The folder of a refinement: the refiner, refined masks as new versions, change maps, and what was left to people.

RUN/metrics.jsonl, run.json                  how it was made
RUN/model/                                   the refiner; RUN/refiner.json: label, scheme, settings, what scores mean
RUN/refined/<study>.nii.gz, labels.json      a folder of masks that `dictamen review --masks` takes again
RUN/changes/<study>.nii.gz, labels.json      1 added, 2 removed, 3 proposed but left for review
RUN/regions.jsonl                            one line a study: predicted score, change and abstention of each region
RUN/failed.jsonl                             studies that could not be refined, where there are any
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.errors import InputError, resource_errors
from dictamen.files import write_json
from dictamen.models.card import ModelCard, OutputLabel, TrainingStudies
from dictamen.models.package import load_model, save_model
from dictamen.models.refiner import INPUTS, Refiner, architecture
from dictamen.refinement.apply import CHANGE_NAMES
from dictamen.refinement.config import RefineConfig
from dictamen.supervision.score_scale import ScoreScale

REFINER, REFINED, CHANGES, REGIONS, FAILED = "refiner.json", "refined", "changes", "regions.jsonl", "failed.jsonl"
RUN = "run.json"


class RefinerCard(BaseModel):
    """refiner.json: what the refiner is for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    scheme: str
    cuts: tuple[float, float, float, float]
    targets: tuple[float, float, float, float, float]
    config: RefineConfig

    @property
    def region_scheme(self) -> RegionScheme:
        """How the structure is cut."""
        return RegionScheme.from_text(self.scheme)

    @property
    def scale(self) -> ScoreScale:
        """What scores mean."""
        return ScoreScale(cuts=self.cuts, targets=self.targets, noise=self.config.rater_noise)


def save_refiner(
    run: Path,
    refiner: Refiner,
    card: RefinerCard,
    *,
    spacing_mm: tuple[float, float, float],
    patch: tuple[int, int, int],
    answered: Mapping[str, int],
) -> None:
    """Write RUN/model and RUN/refiner.json.

    Args:
        spacing_mm: of the grid it was trained on.
        patch: voxels of the largest crop.
        answered: study id -> answered regions; ids are hashed.
    """
    save_model(
        run / "model",
        refiner.network,
        ModelCard(
            architecture=architecture(),
            labels=(OutputLabel(name=card.label, kind="organ"),),
            spacing_mm=spacing_mm,
            patch_size=patch,
            intensity=card.config.window,
            supervision={"scored_regions": sum(answered.values()), "scored_studies": len(answered)},
            training_studies=TrainingStudies.of(answered),
        ),
    )
    write_json(run / REFINER, card.model_dump(mode="json"))


def load_refiner(run: Path) -> tuple[Refiner, RefinerCard]:
    """Read what `save_refiner` wrote.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = run / REFINER
    try:
        card = RefinerCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise InputError(
            "There is no refiner here.", where=path, next_step="give a folder that `dictamen refine` wrote"
        ) from error
    network, model = load_model(run / "model")
    if model.architecture.in_channels != INPUTS:
        raise InputError(
            "The refiner is of an earlier version.",
            where=run,
            got=f"{model.architecture.in_channels} inputs",
            expected=f"{INPUTS}",
            next_step="train it again from the same feedback",
        )
    return Refiner(network).eval(), card  # type: ignore[arg-type]  # what presets.build gives


def begin(run: Path, label: str) -> None:
    """Folders and their labels.json."""
    for name, labels in ((REFINED, {1: label}), (CHANGES, {int(value): text for value, text in CHANGE_NAMES.items()})):
        (run / name).mkdir(parents=True, exist_ok=True)
        write_json(run / name / "labels.json", {"labels": {str(value): text for value, text in labels.items()}})


def mask_path(run: Path, kind: str, study_id: str) -> Path:
    """Where a study's refined mask (`REFINED`) or change map (`CHANGES`) lies."""
    return run / kind / f"{study_id}.nii.gz"


def done(run: Path) -> dict[str, dict[str, Any]]:
    """Lines of regions.jsonl of studies whose maps are there; a half-written last line is left out."""
    path, lines = run / REGIONS, {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if all(mask_path(run, kind, line["study_id"]).is_file() for kind in (REFINED, CHANGES)):
            lines[line["study_id"]] = line
    return lines


def add_line(run: Path, line: Mapping[str, Any]) -> None:
    """Append a study to regions.jsonl."""
    with resource_errors(run / REGIONS), (run / REGIONS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")


def regions_line(study_id: str, parent_sha256: str, sha256: str | None, regions: Sequence[Any]) -> dict[str, Any]:
    """A study's line: which mask was refined, which came of it (None: an empty one), and each region."""
    return {
        "study_id": study_id,
        "parent_sha256": parent_sha256,
        "sha256": sha256,
        "for_review": [entry.region for entry in regions if entry.abstained],
        "regions": [asdict(entry) for entry in regions],
    }
