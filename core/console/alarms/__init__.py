"""Alarms: what is wrong is told to people where they are, once, again after a day, and when it is over."""
