"""Git revisions of DVC repositories: models opened, fetched, released."""
