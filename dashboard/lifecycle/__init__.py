"""The road of each period: attached, archived, backed up, verified, dropped."""
