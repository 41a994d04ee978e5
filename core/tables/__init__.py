"""Partitioned tables as the catalog tells of them: keys, bounds, partitions, archived tables, definitions."""
