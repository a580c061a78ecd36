"""Finished examples: each reads a file, a camera or a published stream, says what it sees and draws it."""
