"""What should be true of a table, said once: its rules, the file that holds them, and what they want done when."""
