"""The six acts of the pipeline, each run by DVC as `python -m stages.<name>` from the repository root."""
