"""The ball loss voxel by voxel in float64 numpy: direct convolution, explicit distances, no crops, no batching."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def direct_smooth(q: Array, diameter_mm: float, spacing: Array) -> Array:
    """Direct sum over the ball's offsets; offsets beyond the grid's extent play no part in the normalisation."""
    radius = diameter_mm / 2
    reach = [min(n - 1, int(radius / s + 1e-3)) for n, s in zip(q.shape, spacing, strict=True)]
    smooth, norm = np.zeros_like(q), 0.0
    padded = np.pad(q, [(h, h) for h in reach])
    for offset in np.ndindex(*(2 * h + 1 for h in reach)):
        d2 = sum(((o - h) * s) ** 2 for o, h, s in zip(offset, reach, spacing, strict=True))
        if d2 <= radius**2 * (1 + 1e-4) or d2 == 0:
            w = np.exp(-d2 / (2 * (1.5 * radius) ** 2))
            norm += w
            smooth += w * padded[tuple(slice(o, o + n) for o, n in zip(offset, q.shape, strict=True))]
    return smooth / norm


def distances(shape: tuple[int, ...], centre: npt.NDArray[np.int64], spacing: Array) -> Array:
    grid = np.moveaxis(np.indices(shape), 0, -1)
    return np.sqrt((((grid - centre) * spacing) ** 2).sum(-1))


def slow_region(
    logits: Array,
    inside: Mask,
    diameters: list[float],
    volumes: list[float],
    known: list[bool],
    rest: bool,
    spacing: Array,
    centres: list[npt.NDArray[np.int64]],
    gate: float,
) -> dict[str, object]:
    """Targets and loss of one region; `centres` are the tested code's, to be checked against the direct maximum."""
    p = 1 / (1 + np.exp(-logits))
    free, grown = inside.copy(), np.zeros_like(inside)
    foreground, trusts, peaks, best = np.zeros_like(logits), [], [], []
    for diameter, volume, centre in zip(diameters, volumes, centres, strict=True):
        smooth = np.where(free, direct_smooth(np.where(free, p, 0), diameter, spacing), -1)
        best.append(smooth.max())
        peaks.append(smooth[tuple(centre)])
        trusts.append(min(1.0, peaks[-1] / gate))
        ball = free & (distances(logits.shape, centre, spacing) <= 0.6 * diameter * (1 + 5e-5))
        order = sorted(map(tuple, np.argwhere(ball)), key=lambda v: -logits[v])
        n = min(max(1, round(volume / spacing.prod())), len(order))
        targets = max(1, round(0.8 * n))
        w = np.array([0.5 ** (i / n) for i in range(targets)])
        for voxel, weight in zip(order, w / w.mean(), strict=False):
            foreground[voxel] = weight * trusts[-1]
        for voxel in order[: round(1.2 * n)]:
            grown[voxel] = True
        for voxel in order[:n]:
            free[voxel] = False
    near = np.zeros_like(inside)
    for voxel in np.argwhere(grown):
        near |= distances(logits.shape, voxel, spacing) <= 3 * (1 + 5e-5)
    positive = foreground > 0
    background = inside & ~positive & ~near & (rest and all(known))
    softplus = np.log1p(np.exp(logits))
    t = positive.sum()
    loss = (foreground * (softplus - logits)).sum() / t
    negative = softplus[background].mean() if background.any() else 0.0
    dice = 1 - 2 * p[positive].sum() / (p[positive | background].sum() + t)
    loss += min(trusts) * (negative + dice)
    return {
        "positive": positive,
        "foreground": foreground,
        "background": background,
        "loss": loss,
        "peaks": peaks,
        "best": best,
    }
