"""Files: atomic, locked, journalled, and read with care."""
