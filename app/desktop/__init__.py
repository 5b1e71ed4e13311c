"""The desktop's entry: an icon that opens the terminal UI and takes files dropped on it."""
