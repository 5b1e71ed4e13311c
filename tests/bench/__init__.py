"""What Shoebox is worth beside plainer ways, and what it costs: `./run.sh bench`.

A module with a function `run(scale)` is a bench; the others help. Absolute times are those of one machine on
one day. What is worth keeping are the ratios, of figures that were measured in the same run.
"""
