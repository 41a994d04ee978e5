"""The parts of the page Growth."""
