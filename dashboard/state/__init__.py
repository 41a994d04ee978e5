"""What the pages read, remember and may do: the only rooms of the dashboard that touch a database."""
