"""The kinds of place that backups are kept in."""
