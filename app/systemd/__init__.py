"""User units of systemd: what they say, and writing and removing them."""
