"""What people do, from their keypoints over time: angles, repetitions, falls, zones. An unsure keypoint is unknown."""
