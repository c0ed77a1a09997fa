"""What every stage shares: params, paths, labels, errors, progress, artifacts."""
