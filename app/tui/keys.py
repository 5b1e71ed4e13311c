"""The keys that work on every screen."""

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding("f1", "help", "Help", id="shoebox.help", tooltip="What this screen is for, and its keys."),
    Binding("f3", "machines", "Machines", id="shoebox.machines", tooltip="Workers, queues and models."),
    Binding(
        "ctrl+n",
        "choose_files",
        "Add files",
        id="shoebox.add",
        tooltip="Choose files and folders to take in.",
    ),
    Binding(
        "ctrl+p",
        "command_palette",
        "Commands",
        id="shoebox.palette",
        tooltip="Find any action by its name.",
    ),
    Binding("ctrl+r", "review", "Review", id="shoebox.review", tooltip="Go through what needs review."),
    Binding("ctrl+f", "search", "Search", id="shoebox.search", tooltip="Find documents by their words."),
    Binding("ctrl+s", "ask", "Ask", id="shoebox.ask", tooltip="Ask a question of the documents."),
    Binding("ctrl+l", "watch", "Watch", id="shoebox.watch", tooltip="Folders whose files are taken in."),
    Binding("ctrl+g", "tidy", "Tidy", id="shoebox.tidy", tooltip="Plan a tidy tree of files; undo it."),
    Binding("ctrl+q", "quit", "Quit", id="shoebox.quit", tooltip="Leave. The workers go on.", priority=True),
    Binding(
        "f10",
        "change_theme",
        "Theme",
        id="shoebox.theme",
        show=False,
        tooltip="Choose colours; they are remembered.",
    ),
    Binding(
        "f12",
        "stop_adding",
        "Stop adding",
        id="shoebox.stop_adding",
        show=False,
        tooltip="Take in no more of the files that are still being added.",
    ),
]
