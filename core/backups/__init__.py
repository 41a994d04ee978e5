"""Backups: where they lie, how they are written, proven and brought back."""
