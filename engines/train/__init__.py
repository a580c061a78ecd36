"""Training: labelled pictures, augmentation, drawn people, and what a training loop needs beside the network."""
