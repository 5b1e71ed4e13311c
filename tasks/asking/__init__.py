"""Answering a question from the documents, with citations that are checked."""
