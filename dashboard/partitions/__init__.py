"""The parts of the page Partitions."""
