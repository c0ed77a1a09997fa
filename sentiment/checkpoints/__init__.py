"""What a model folder holds: blocks, tensors, sketches, the manifest."""
