"""Search by meaning: pages as vectors of an embedding model, beside the ledger and never in it.

`models` chooses the model, `chunking` cuts pages, `file` and `store` keep vectors, `indexing` says what is
missing; `keeper` has that made on the cpu queue (`batches`, `publishing`), `embedding` runs there. `asking`
gets the vector of a query, `hybrid` joins what words and what meaning found (`narrowing` keeps to filters),
`standing` says in words how it is.
"""
