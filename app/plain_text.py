"""Text from files and models, made safe to print: `tasks.plain_text`, by the name that the front ends use."""

from tasks.plain_text import shortened, visible, visible_json, visible_lines

__all__ = ["shortened", "visible", "visible_json", "visible_lines"]
