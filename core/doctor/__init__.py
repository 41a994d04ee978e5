"""The Doctor: what is right with a table, what is not, why that matters, and what puts it right."""
