"""A place with nothing but loopback, in which every attempt to reach anything else is seen.

`python -m tests.closed` runs the whole pipeline there and prints what was tried. Needs Linux, util-linux and
iproute2, and root or a system that lets users make namespaces.
"""
