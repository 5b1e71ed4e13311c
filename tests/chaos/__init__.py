"""The seeded chaos test: rounds of documents and faults on one real system; see docs/chaos.md."""
