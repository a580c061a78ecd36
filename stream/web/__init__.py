"""The page on which a browser shows a run, and the server that brings it there."""
