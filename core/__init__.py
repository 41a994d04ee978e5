"""Partition Desk's core: plans, safe DDL, catalog reading and the lifecycle of a partition; no Streamlit in here."""
