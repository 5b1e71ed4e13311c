"""The watch folder: files put there are taken by themselves, once they have come to rest."""
