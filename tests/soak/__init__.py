"""Long runs that stop by themselves, for a machine that nobody waits for."""
