"""The HTTP API: what other programs ask and are answered. Imported by the command `api` only."""
