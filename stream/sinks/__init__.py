"""The last stages: each takes results and gives nothing."""
