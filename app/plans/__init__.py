"""Plans: a tidy tree proposed from what was read, applied file by file with a journal, and undone from it."""
