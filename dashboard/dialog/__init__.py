"""The one dialog, in which a plan is confirmed."""
