"""The commands of `python -m sentiment`."""
