"""What a person touches: the command line, the services, the user interface."""

from tasks.version import VERSION

__version__ = VERSION
