"""The acts of the pipeline, each run as `python -m stages.<name>`."""

import os

# Read by OpenMP when torch brings it: threads that wait sleep, instead of keeping a core from whoever else needs it.
# With another job on the machine two spinning threads are many times slower than one; asleep they lose their share.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
