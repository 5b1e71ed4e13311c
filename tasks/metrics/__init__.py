"""Numbers for Prometheus: what they are called, how a unit that was run is counted, and a worker's own."""
