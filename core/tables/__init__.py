"""Partitioned tables as the catalog tells of them, in frozen values; the door is `table.PartitionedTable`.

Beside it stand what it is made of (key, bounds, partition, archived, structure, size, marks), what follows from it
(coverage, retention, find) and the whole definition of one table (definition, rebuild, fingerprint). Fields that change
by themselves (sizes, estimates, times) take no part in comparisons.
"""
