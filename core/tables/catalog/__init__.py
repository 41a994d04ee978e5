"""Reads the system catalog, and only this package does: rows in, values of core.tables out."""
