"""The parts of the page Rules: the form, and the calendar of what rules would do."""
