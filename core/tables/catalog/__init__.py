"""Reads the system catalog, and only this package does: rows in, values of core.tables out; the door is `read_table`.

Nothing here waits behind a lock for more than a moment. What reads of a locked relation would wait for (sizes, printed
bounds) is left out for the relations that pg_locks names, and those are marked busy.
"""
