"""Weights files: published ones, those of torchvision and Detectron2, and how they become a network."""
