"""Backups: where they lie (storage), how they are written, verified, restored, and listed (kept)."""
