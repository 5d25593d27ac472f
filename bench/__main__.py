"""All benchmarks, or those named: `python -m bench [NAME ...]`, with the names of `ORDER`.

Each runs in a process of its own, one after the other, and prints ratios to anchors that it measures in the same run.
"""

import subprocess
import sys
from pathlib import Path

ORDER = ("scheduler", "poller", "whole", "judge", "many", "columns", "commit", "outbox", "storm", "start")


def main() -> int:
    """Run them; the exit code is that of the first that failed."""
    there = {path.stem for path in Path(__file__).parent.glob("*.py")}
    wanted = sys.argv[1:] or [name for name in ORDER if name in there]
    failed = 0
    for name in wanted:
        print(f"\n== {name}", flush=True)
        failed = failed or subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
