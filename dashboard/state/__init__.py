"""What pages read and remember."""
