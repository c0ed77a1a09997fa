"""Tables -> figures, report, model card."""
