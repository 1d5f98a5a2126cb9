"""Thousands of damaged inputs of each kind, under limits of memory and time.

usage: python benchmarks/robustness/fuzz.py [--examples 2000] [--seed 0]

Each input must be read or refused with one of our errors, within 512 MB beyond what Python and its libraries take, and
5 s of processor time. Writes benchmarks/results/fuzz.md.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import tempfile
import warnings
from datetime import date
from pathlib import Path
from time import process_time

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "fuzz.md"
for folder in ("attacks", "imaging"):
    sys.path.insert(0, str(ROOT / "tests" / folder))

from fuzzing import TARGETS  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

from dictamen.errors import DictamenError  # noqa: E402

MOST_BYTES, MOST_SECONDS = 512 << 20, 5.0


def used_bytes() -> int:
    """Address space of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()


def fuzz(kind: str, folder: Path, *, examples: int, number: int) -> tuple[int, float, str]:
    """Inputs tried, the longest time, and what went wrong, "" where nothing did."""
    made, read = TARGETS[kind](folder)
    tried, slowest = 0, 0.0

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(made)
    def attempt(one: object) -> None:
        nonlocal tried, slowest
        started = process_time()
        try:
            read(one)
        except DictamenError:
            pass
        finally:
            tried, slowest = tried + 1, max(slowest, process_time() - started)
        if process_time() - started > MOST_SECONDS:
            raise TimeoutError(f"{process_time() - started:.1f} s")

    try:
        attempt()
    except Exception as error:  # whatever it is: it goes into the table
        return tried, slowest, f"{type(error).__name__}: {error}"[:200]
    return tried, slowest, ""


def main() -> None:
    """Try all kinds, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    lines = []
    for kind in TARGETS:
        with tempfile.TemporaryDirectory() as place:
            fuzz(kind, Path(place), examples=20, number=1)  # all imports happen before memory is limited
        with tempfile.TemporaryDirectory() as place:
            resource.setrlimit(resource.RLIMIT_AS, (used_bytes() + MOST_BYTES, resource.RLIM_INFINITY))
            tried, slowest, wrong = fuzz(kind, Path(place), examples=arguments.examples, number=arguments.seed)
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        lines.append(f"| {kind} | {tried:,} | {slowest:.2f} | {wrong or 'nothing'} |")
        print(lines[-1], flush=True)
    text = [
        "# Fuzzing\n",
        f"{date.today()}, `python benchmarks/robustness/fuzz.py --examples {arguments.examples} --seed "
        f"{arguments.seed}`. Limits: {MOST_BYTES >> 20} MB beyond what Python and its libraries take, "
        f"{MOST_SECONDS:g} s of processor time, errors of ours only.\n",
        "| kind | inputs | longest, s | went wrong |",
        "|---|---|---|---|",
        *lines,
    ]
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
