"""What runs the three compiled parts of the network; one file a backend."""
