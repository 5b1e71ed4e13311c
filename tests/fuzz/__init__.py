"""Fuzzing of all that reads what others wrote: `python -m tests.fuzz`, see docs/fuzzing.md."""
