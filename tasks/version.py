"""The version of Shoebox."""

VERSION = "0.1.0"
