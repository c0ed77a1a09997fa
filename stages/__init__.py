"""The acts of the pipeline, each run as `python -m stages.<name>`."""

import os
import threading
import time
from pathlib import Path

from sentiment.pipeline.errors import exit_on_input_error, require

exit_on_input_error(require)  # before the imports of any stage: DVC may have an environment of its own

# Read by OpenMP when torch brings it: threads that wait sleep, instead of keeping a core from other processes.
# With another job on the machine two spinning threads are many times slower than one; asleep they lose their share.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

PARENT_LOOKS = 0.2  # seconds between two


def _dvc() -> int:
    """Give the process that runs this stage; another one takes its place when it dies.

    DVC runs a command by a shell: bash and zsh put a single command in their own place, dash waits for it as its parent
    and lives on when dvc dies.
    """
    parent = os.getppid()
    process = Path("/proc") / str(parent)  # Linux alone has it; on macOS the shell replaces itself
    try:
        if (process / "comm").read_text().strip() not in ("sh", "dash", "ksh", "fish", "bash", "zsh"):
            return parent
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return parent


def _end_with(dvc: int) -> None:
    """End this process as soon as dvc is not what runs it any more: it has died."""
    while _dvc() == dvc:
        time.sleep(PARENT_LOOKS)
    os._exit(1)  # at once, from a thread: nothing more may be written


# A stage whose dvc was killed would go on writing into outs that the next `dvc repro` is making. Begun here, before the
# seconds that a stage's imports take.
if "DVC_STAGE" in os.environ:
    threading.Thread(target=_end_with, args=(_dvc(),), daemon=True).start()
