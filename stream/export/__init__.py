"""Keypoint records to and from other programs' formats."""
