"""What moves messages between stages."""
