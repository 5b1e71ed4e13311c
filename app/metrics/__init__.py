"""Numbers for Prometheus: those of this home, the server of a worker's, and their page in the docs."""
