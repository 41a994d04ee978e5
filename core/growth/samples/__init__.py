"""A day's sizes of every partition, kept in tables of the console's own; `daily.sample_today` takes them."""
