"""The charts of partitions, and what all charts have in common."""
