"""Refinement from region scores on 3D phantoms with systematic errors: 48 volumes to train, 24 to test, six slabs.

    python benchmarks/refinement/phantom_scores.py                     # all arms and seeds, then the table (two hours)
    python benchmarks/refinement/phantom_scores.py run score 0         # one arm, one seed; figures go to --figures
    python benchmarks/refinement/phantom_scores.py table               # the table of what is there

A seed is another set of volumes, other mistakes of the raters and other first weights. The truth of the training
volumes is seen by the simulated rater and by the arm `full masks` alone. Writes benchmarks/results/refine_phantom.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from arms import Setting, cases_of, measure, train, with_refiner
from systematic_errors import SPACING_MM, phantom
from untrained import intensity_model, random_walker

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.models.normalise import IntensityWindow
from dictamen.refinement.config import RefineConfig
from dictamen.supervision.raters import fit_ordinal
from dictamen.supervision.region_errors import region_errors
from dictamen.supervision.score_scale import ScoreScale, calibrated
from dictamen.supervision.simulated_raters import SimulatedRater

TRAIN, TEST, SEEDS, ABLATION_SEEDS = 48, 24, 5, 2
STEPS = 300
SIX = RegionScheme("slab", 6)
NOISE = {"score_noise": 0.3, "direction_noise": 0.1}
GOLD = 0.1
"""Share of the training regions with a known answer, for the calibrated and the ordinal arm."""
NO_EDGE, NO_SCORE, NO_DIRECTION = {"edge": 0.0}, {"score": 0.0}, {"direction": 0.0}
MAIN = ("score", "full masks", "noisy rater", "noisy, calibrated", "noisy, ordinal")
ABLATIONS = (
    "no direction", "no score", "no edge", "hinge", "barrier", "one region", "12 regions", "direction weight 1",
    "edge weight 1",
)  # fmt: skip
UNTRAINED = {"random walker": random_walker, "intensity model": intensity_model}
RESULT = Path(__file__).parents[1] / "results" / "refine_phantom.md"


def setting(arm: str, seed: int, gold: tuple[list[int], list[float]]) -> Setting:
    """What an arm is."""
    plain = Setting(SIX, SimulatedRater(), ScoreScale(), {})
    noisy = SimulatedRater(**NOISE, seed=seed)
    ordinal = fit_ordinal(*gold, ["simulated"] * len(gold[0]))
    return {
        "score": plain,
        "full masks": Setting(SIX, SimulatedRater(), ScoreScale(), {}, full=True),
        "noisy rater": Setting(SIX, noisy, ScoreScale(), {}),
        "noisy, calibrated": Setting(SIX, noisy, calibrated(*gold), {}),
        "noisy, ordinal": Setting(
            SIX,
            noisy,
            ScoreScale(cuts=ordinal.cuts),
            {"score_mode": "ordinal", "rater_noise": ordinal.noise["simulated"]},
        ),
        "no direction": Setting(SIX, SimulatedRater(), ScoreScale(), NO_DIRECTION),
        "no score": Setting(SIX, SimulatedRater(), ScoreScale(), NO_SCORE),
        "no edge": Setting(SIX, SimulatedRater(), ScoreScale(), NO_EDGE),
        "direction weight 1": Setting(SIX, SimulatedRater(), ScoreScale(), {"direction": 1.0}),
        "edge weight 1": Setting(SIX, SimulatedRater(), ScoreScale(), {"edge": 1.0}),
        "hinge": Setting(SIX, SimulatedRater(), ScoreScale(), {"score_mode": "hinge"}),
        "barrier": Setting(SIX, SimulatedRater(), ScoreScale(), {"score_mode": "barrier"}),
        "one region": Setting(RegionScheme("slab", 1), SimulatedRater(), ScoreScale(), {}),
        "12 regions": Setting(RegionScheme("slab_sector", 6, sectors=2), SimulatedRater(), ScoreScale(), {}),
    }[arm]


def run(arm: str, seed: int, figures: Path) -> None:
    """Train one arm with one seed and keep its figures; an earlier result is kept."""
    path = figures / f"{arm.replace(' ', '_').replace(',', '')}-{seed}.json"
    if path.exists():
        return
    figures.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    examples = [phantom(10_000 * seed + number) for number in range(TRAIN + TEST)]
    learn, test = examples[:TRAIN], examples[TRAIN:]
    window = IntensityWindow()
    if arm in UNTRAINED or arm == "initial":
        cases, refine = cases_of(test, SIX, SPACING_MM, window), UNTRAINED.get(arm, lambda example, _: example.mask)
        values, seconds = measure(test, cases, SPACING_MM, refine), 0.0
    else:
        chosen = setting(arm, seed, gold_regions(learn, seed))
        config = RefineConfig(steps=STEPS, seed=seed)
        cases = cases_of(learn, chosen.scheme, SPACING_MM, window)
        begun = time.perf_counter()
        refiner = train(learn, cases, chosen, config)
        seconds = time.perf_counter() - begun
        # all arms abstain on the same six slabs
        tests = cases_of(test, SIX, SPACING_MM, window)
        values = measure(test, tests, SPACING_MM, with_refiner(refiner, config))
    told = {name: array.tolist() for name, array in values.items()}
    path.write_text(json.dumps({"arm": arm, "seed": seed, "seconds": seconds, **told}), encoding="utf-8")
    print(
        arm,
        seed,
        {name: round(float(np.nanmean(array)), 4) for name, array in values.items()},
        f"{seconds:.0f} s",
        flush=True,
    )


def gold_regions(learn: list, seed: int) -> tuple[list[int], list[float]]:
    """(noisy score, true Dice) of a tenth of the training regions."""
    rater, rng = SimulatedRater(**NOISE, seed=seed), np.random.default_rng([5, seed])
    scores, dice = [], []
    for number, (example, case) in enumerate(
        zip(learn, cases_of(learn, SIX, SPACING_MM, IntensityWindow()), strict=True)
    ):
        errors = region_errors(case.mask, example.truth[case.box], case.region)
        for error, (score, _) in zip(errors, rater.rate(errors, case=number), strict=True):
            if rng.random() < GOLD:
                scores.append(score)
                dice.append(error.dice)
    return scores, dice


def table(figures: Path) -> str:
    """The table in Markdown, of every arm that has figures."""
    found: dict[str, dict[int, dict]] = {}
    for path in sorted(figures.glob("*.json")):
        one = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(one["arm"], {})[one["seed"]] = one
    rows = [
        "| arm | seeds | Dice | HD95 mm | ASSD mm | NSD 1 mm | gap closed | cases worse | s to train |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm in ("initial", *UNTRAINED, *MAIN, *ABLATIONS):
        runs = found.get(arm, {})
        if not runs:
            continue
        means = [
            f"{np.mean([np.nanmean(one[name]) for one in runs.values()]):.3f}"
            for name in ("dice", "hd95_mm", "assd_mm", "nsd")
        ]
        gaps, worse = [], []
        for seed, one in runs.items():
            before, dice = np.asarray(found["initial"][seed]["dice"]), np.asarray(one["dice"])
            worse.append(np.mean(dice < before))
            if seed in found.get("full masks", {}):
                full = np.asarray(found["full masks"][seed]["dice"])
                gaps.append((dice.mean() - before.mean()) / (full.mean() - before.mean()))
        gap = f"{np.mean(gaps):.0%} [{min(gaps):.0%}, {max(gaps):.0%}]" if gaps and arm != "initial" else ""
        share = f"{np.mean(worse):.1%} [{min(worse):.0%}, {max(worse):.0%}]" if arm != "initial" else ""
        spent = np.mean([one["seconds"] for one in runs.values()])
        rows.append(f"| {arm} | {len(runs)} | {' | '.join(means)} | {gap} | {share} | {spent:.0f} |")
    return "\n".join(rows)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("all", "run", "table"), default="all")
    parser.add_argument("arm", nargs="?")
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--figures", type=Path, default=Path("refine-phantom"))
    chosen = parser.parse_args()
    if chosen.what == "run":
        run(chosen.arm, chosen.seed, chosen.figures)
        return
    if chosen.what == "all":
        for seed in range(SEEDS):
            for arm in ("initial", *UNTRAINED, *MAIN, *(ABLATIONS if seed < ABLATION_SEEDS else ())):
                run(arm, seed, chosen.figures)
    text = (
        "# Refinement from region scores, 3D phantoms\n\n"
        f"{__doc__.splitlines()[0]}\n"
        f"{STEPS} steps of 2 cases, one CPU thread, other jobs beside it. Errors of a mask, each with p = .65: upper\n"
        "cap missing, leak into a brighter neighbour, one voxel too far on one side, hole at a bright inclusion.\n"
        "Brackets: lowest and highest seed. Noisy: score +-1 with p = .3, direction wrong with p = .1; calibrated and\n"
        "ordinal know a tenth of the regions. `full masks` is the same network trained on the truth. A case is worse\n"
        "if its Dice falls at all.\n\n"
        f"{table(chosen.figures)}\n\nMade by `python benchmarks/refinement/phantom_scores.py`.\n"
    )
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
