"""Every setting, and nothing but settings."""
