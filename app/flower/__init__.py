"""Flower over Shoebox's workers: it shows, and changes nothing."""
