"""The terminal UI. It only looks and asks: state comes from the ledger and the event stream, and what a
person wants done is carried out by the clerk, a process of its own (`app.clerk`)."""
