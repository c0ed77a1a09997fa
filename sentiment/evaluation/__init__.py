"""Measures, baselines, zero-shot scores, weight deltas."""
