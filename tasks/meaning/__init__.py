"""Search by meaning: pages as vectors of an embedding model, beside the ledger and never in it.

`models` chooses the model, `chunking` cuts pages, `store` is the file of vectors, `indexing` says what is
missing in it, `keeper` has that made on the cpu queue, `embedding` runs there. `asking` gets the vector of a
query, `hybrid` joins what words and what meaning found, `standing` says in words how it is.
"""
