"""PostgreSQL itself: connections and their settings, what a server is, the embedded one, its programs."""
