"""A few kills at random moments; benchmarks/training/kill_resume.py does two hundred."""

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks" / "training"
SCRIPT = """
import json, sys
from pathlib import Path
from kill_resume import kill_and_resume, make_cohort
place = Path(sys.argv[1])
print(json.dumps(vars(kill_and_resume(make_cohort(place), place, kills=4, steps=24, seed=1))))
"""


def test_killed_trainings_resume_bit_by_bit(tmp_path: Path) -> None:
    """In a process of its own: the trainings are forks, and threads of other tests would not survive a fork."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(FOLDER), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert 1 <= len(found["steps"]) <= 4 and found["unreadable"] == 0
    assert found["tensors"] > 100 and found["different"] == 0
