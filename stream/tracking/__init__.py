"""Following people from frame to frame: pure functions and state, no I/O."""
