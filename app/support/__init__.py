"""The support file: what whoever helps needs to know, and nothing of what documents say. See docs/logs.md."""
