"""Model folders -> models: loading, layers, adapters, torch."""
