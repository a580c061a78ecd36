"""People bottom-up: keypoints of the whole picture in one pass, then grouping."""
