"""The console at work: who acts, the journal, the execution of plans, the worker."""
