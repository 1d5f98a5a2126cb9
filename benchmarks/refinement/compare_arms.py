"""Refinement from region scores on masks with systematic errors: 48 to train, 24 to test, six regions each.

    python benchmarks/refinement/compare_arms.py phantom                  # all arms and seeds, then the table (hours)
    python benchmarks/refinement/compare_arms.py livers                   # the same on real CTs (DICTAMEN_SHARED_DATA)
    python benchmarks/refinement/compare_arms.py organs                   # 35 structures at once
    python benchmarks/refinement/compare_arms.py phantom run score 0      # one arm, one seed; figures go to --figures
    python benchmarks/refinement/compare_arms.py phantom table            # the table of what is there

A seed is another set of volumes or errors, other mistakes of the raters and other first weights. The truth of the
training volumes is seen by the simulated rater and by the arm `full masks` alone. Writes
benchmarks/results/refine_<data>.md.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import real_organs
import systematic_errors
import torch
from arms import Setting, cases_of, measure, train, with_refiner
from systematic_errors import Example
from untrained import intensity_model, random_walker

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.models.normalise import IntensityWindow
from dictamen.refinement.config import RefineConfig
from dictamen.supervision.raters import fit_ordinal
from dictamen.supervision.region_errors import region_errors
from dictamen.supervision.score_scale import ScoreScale, calibrated
from dictamen.supervision.simulated_raters import SimulatedRater

TRAIN, TEST, SEEDS, ABLATION_SEEDS = 48, 24, 5, 1
STEPS = {"phantom": 100, "organs": 100, "livers": 100}
SIX = {
    "phantom": RegionScheme("slab", 6),
    "organs": RegionScheme("surface_patch", 6, band_mm=12.0),
    "livers": RegionScheme("surface_patch", 6, band_mm=18.0),
}
"""Within 6 mm of the masks of real organs lie 69 % of the missing voxels of training cases, of livers 24 %: what lies
beyond the band can't be repaired."""
TWELVE = RegionScheme("slab_sector", 6, sectors=2)
SPACING_MM = {
    "phantom": systematic_errors.SPACING_MM,
    "organs": real_organs.SPACING_MM,
    "livers": real_organs.LIVER_SPACING_MM,
}
NOISE = {"score_noise": 0.3, "direction_noise": 0.1}
GOLD = 0.1
"""Share of the training regions with a known answer, for the calibrated and the ordinal arm."""
TERMS = ("direction", "edge", "band", "likely")
"""Of the loss, in the order in which the ablation adds them to the score."""
MAIN = ("score", "full masks", "noisy rater", "noisy, calibrated", "noisy, ordinal")
ABLATIONS = (
    "score term alone", *(f"+ {term}" for term in TERMS[:-1]), "no score", "no balance", "hinge", "barrier",
    "one region", "12 regions",
)  # fmt: skip
UNTRAINED = {"random walker": random_walker, "intensity model": intensity_model}
RESULTS = Path(__file__).parents[1] / "results"
WHAT = {
    "phantom": "3D phantoms: a bent organ in fat beside a brighter vessel, 2 mm.",
    "livers": "Real CTs at 6 mm: livers of four patients to train, of three others to test, corrupted again and again.",
    "organs": "Real CTs at 4 mm, structures of 20-400 ml: trained on one trunk (35), tested on other patients (14).",
}


def volumes(data: str, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to train on and to test on."""
    if data != "phantom":
        return {"organs": real_organs.organs, "livers": real_organs.livers}[data](seed, TRAIN, TEST)
    examples = [systematic_errors.phantom(10_000 * seed + number) for number in range(TRAIN + TEST)]
    return examples[:TRAIN], examples[TRAIN:]


def setting(arm: str, seed: int, six: RegionScheme, gold: tuple[list[int], list[float]]) -> Setting:
    """What an arm is."""
    plain = Setting(six, SimulatedRater(), ScoreScale(), {})
    noisy = SimulatedRater(**NOISE, seed=seed)

    def without(*terms: str) -> Setting:
        return Setting(six, SimulatedRater(), ScoreScale(), dict.fromkeys(terms, 0.0))

    ordinal = fit_ordinal(*gold, ["simulated"] * len(gold[0]))
    return {
        "score": plain,
        "full masks": Setting(six, SimulatedRater(), ScoreScale(), {}, full=True),
        "noisy rater": Setting(six, noisy, ScoreScale(), {}),
        "noisy, calibrated": Setting(six, noisy, calibrated(*gold), {}),
        "noisy, ordinal": Setting(
            six,
            noisy,
            ScoreScale(cuts=ordinal.cuts),
            {"score_mode": "ordinal", "rater_noise": ordinal.noise["simulated"]},
        ),
        "score term alone": without(*TERMS),
        **{f"+ {term}": without(*TERMS[place:]) for place, term in enumerate(TERMS[:-1], start=1)},
        "no score": without("score"),
        "no balance": Setting(six, SimulatedRater(), ScoreScale(), {"balance": False}),
        "hinge": Setting(six, SimulatedRater(), ScoreScale(), {"score_mode": "hinge"}),
        "barrier": Setting(six, SimulatedRater(), ScoreScale(), {"score_mode": "barrier"}),
        "one region": Setting(RegionScheme("slab", 1), SimulatedRater(), ScoreScale(), {}),
        "12 regions": Setting(TWELVE, SimulatedRater(), ScoreScale(), {}),
    }[arm]


def run(data: str, arm: str, seed: int, figures: Path) -> None:
    """Train one arm with one seed and keep its figures; an earlier result is kept."""
    path = figures / data / f"{arm.replace(' ', '_').replace(',', '')}-{seed}.json"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    learn, test = volumes(data, seed)
    window, six, spacing = IntensityWindow(), SIX[data], SPACING_MM[data]
    if arm in UNTRAINED or arm == "initial":
        cases, refine = cases_of(test, six, spacing, window), UNTRAINED.get(arm, lambda example, _: example.mask)
        values, seconds = measure(test, cases, spacing, refine), 0.0
    else:
        chosen = setting(arm, seed, six, gold_regions(learn, seed, six, spacing))
        config = RefineConfig(steps=STEPS[data], seed=seed)
        cases = cases_of(learn, chosen.scheme, spacing, window)
        begun = time.process_time()
        refiner = train(learn, cases, chosen, config)
        seconds = time.process_time() - begun
        # all arms abstain on the same six regions
        tests = cases_of(test, six, spacing, window)
        values = measure(test, tests, spacing, with_refiner(refiner, config))
    told = {name: array.tolist() for name, array in values.items()}
    path.write_text(json.dumps({"arm": arm, "seed": seed, "cpu_seconds": seconds, **told}), encoding="utf-8")
    print(
        arm,
        seed,
        {name: round(float(np.nanmean(array)), 4) for name, array in values.items()},
        f"{seconds:.0f} s",
        flush=True,
    )


def gold_regions(
    learn: list[Example], seed: int, six: RegionScheme, spacing: tuple[float, float, float]
) -> tuple[list[int], list[float]]:
    """(noisy score, true Dice) of a tenth of the training regions."""
    rater, rng = SimulatedRater(**NOISE, seed=seed), np.random.default_rng([5, seed])
    scores, dice = [], []
    for number, (example, case) in enumerate(zip(learn, cases_of(learn, six, spacing, IntensityWindow()), strict=True)):
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
        "| arm | seeds | Dice | HD95 mm | ASSD mm | NSD 1 mm | gap closed | cases worse | CPU s to train |",
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
        spent = np.mean([one.get("cpu_seconds", np.nan) for one in runs.values()])
        rows.append(
            f"| {arm} | {len(runs)} | {' | '.join(means)} | {gap} | {share} | {spent:.0f} |".replace("nan", "–")
        )
    return "\n".join(rows)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=tuple(WHAT))
    parser.add_argument("what", nargs="?", choices=("all", "run", "table"), default="all")
    parser.add_argument("arm", nargs="?")
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--figures", type=Path, default=Path("refine-figures"))
    chosen = parser.parse_args()
    if chosen.what == "run":
        run(chosen.data, chosen.arm, chosen.seed, chosen.figures)
        return
    if chosen.what == "all":
        for seed in range(SEEDS):
            for arm in ("initial", *UNTRAINED, *MAIN, *(ABLATIONS if seed < ABLATION_SEEDS else ())):
                run(chosen.data, arm, seed, chosen.figures)
    text = (
        f"# Refinement from region scores: {chosen.data}\n\n"
        f"{__doc__.splitlines()[0]}\n{WHAT[chosen.data]}\n"
        f"{datetime.now(UTC):%Y-%m-%d}. {STEPS[chosen.data]} steps of 4 cases, one CPU thread.\n"
        "Errors of a mask, each with p = .65: upper cap missing, leak into a brighter neighbour, one voxel too far\n"
        "on one side, hole at a bright inclusion. Brackets: lowest and highest seed. Noisy: score +-1 with p = .3,\n"
        "direction wrong with p = .1; calibrated and ordinal know a tenth of the regions. `full masks` is the same\n"
        "network trained on the truth, with the same band and abstentions. A case is worse if its Dice falls at all.\n"
        f"Regions reach {SIX[chosen.data].band_mm:g} mm out of the mask. Settings were chosen on other phantoms and\n"
        "on training patients alone.\n\n"
        f"{table(chosen.figures / chosen.data)}\n\n"
        f"Made by `python benchmarks/refinement/compare_arms.py {chosen.data}`.\n"
    )
    (RESULTS / f"refine_{chosen.data}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
