"""Keypoint R-CNN in plain torch; reads no files."""
