"""A page and a JSON endpoint."""
