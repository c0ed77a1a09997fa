"""The tests: one file per stage and per module."""
