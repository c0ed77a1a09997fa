"""Token ids -> logits -> probabilities, without padding where the family allows it."""
