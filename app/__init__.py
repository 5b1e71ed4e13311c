"""What a person touches: the command line, the services, the user interface."""

__version__ = "0.1.0"
