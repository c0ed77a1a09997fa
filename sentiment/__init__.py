"""The domain library that the stages share: data, models, training parts, measures and reports."""
