"""Geometry of people and keypoints in plain NumPy."""
