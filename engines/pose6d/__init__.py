"""Rigid objects in six degrees of freedom: where a known object stands and how it is turned, from its keypoints."""
