"""A fine-tuned model put to work on rows of texts."""
