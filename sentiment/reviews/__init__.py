"""Files and hub snapshots -> clean, split rows of reviews."""
