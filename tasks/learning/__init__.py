"""What people corrected, used for documents that look the same."""
