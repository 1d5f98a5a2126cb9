"""Small masks that err systematically, and what a rater says about them."""

import numpy as np

from dictamen.anatomy.region_scheme import RegionScheme, region_map
from dictamen.models.normalise import IntensityWindow
from dictamen.refinement.case import RefineCase, make_case
from dictamen.supervision.feedback import RegionAnswer
from dictamen.supervision.region_errors import region_errors
from dictamen.supervision.region_targets import region_targets
from dictamen.supervision.simulated_raters import SimulatedRater

SPACING = (2.0, 2.0, 2.0)
SCHEME = RegionScheme("slab", 4)
SHAPE = (16, 16, 22)


def ball(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(image in HU, truth): a bright ellipsoid in fat."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")
    truth = (x / rng.uniform(4, 5)) ** 2 + (y / rng.uniform(4, 5)) ** 2 + (z / rng.uniform(6.5, 7.5)) ** 2 < 1
    return np.where(truth, 60, -80) + rng.normal(0, 10, SHAPE), truth


def answers(mask: np.ndarray, truth: np.ndarray, region: np.ndarray, *, study_id: str = "s") -> list[RegionAnswer]:
    errors = region_errors(mask, truth, region)
    return [
        RegionAnswer(
            study_id=study_id, rater="r", label="spleen", mask_sha256="0", scheme=SCHEME.to_text(),
            region=error.region, score=score, direction=side, origin="simulated",
        )
        for error, (score, side) in zip(errors, SimulatedRater().rate(errors), strict=True)
    ]  # fmt: skip


def case(seed: int, *, too_large: bool = True) -> tuple[RefineCase, np.ndarray]:
    """A mask one voxel too large everywhere (or right), its feedback, and the truth in the crop."""
    from scipy import ndimage

    image, truth = ball(seed)
    mask = ndimage.binary_dilation(truth) if too_large else truth
    region = region_map(SCHEME, mask, np.diag([*SPACING, 1.0]))
    targets = region_targets(answers(mask, truth, region), regions=4)
    made = make_case(
        study_id=f"s{seed}", image=image, mask=mask, region=region, spacing_mm=SPACING, scheme=SCHEME,
        window=IntensityWindow(), targets=targets, margin_mm=8,
    )  # fmt: skip
    return made, truth[made.box]
