"""Logs: one form for every program, with a correlation id per document and unit. docs/logs.md tells users.

Whoever logs uses `logging.getLogger("shoebox....")` with a constant text and arguments, and nothing of a
document's content in them. What comes on top is done here, for every record of the process: masking
secrets, cutting what libraries would say too much, counting repetitions, one line of JSON.
"""

from tasks.logs.about import about, about_order
from tasks.logs.setup import begin_command, configure, configure_command, is_json

__all__ = ["about", "about_order", "begin_command", "configure", "configure_command", "is_json"]
