"""Durations as people say them."""


def rough_duration(seconds: float) -> str:
    """As people say it: `20 s`, `4 min`, `3 h`, `2 days`."""
    for size, unit in ((2 * 86_400, "days"), (2 * 3_600, "h"), (90, "min")):
        if seconds >= size:
            return f"{round(seconds / {'days': 86_400, 'h': 3_600, 'min': 60}[unit])} {unit}"
    return f"{max(1, round(seconds))} s"
