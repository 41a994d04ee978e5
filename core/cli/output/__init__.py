"""What the commands print, as text and as JSON: a module for each group of commands."""
