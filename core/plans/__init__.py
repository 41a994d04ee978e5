"""Plans: one file an operation with its inverse, pure builders from frozen values to final SQL."""
