"""From pictures to people: the network, its exact post-processing and its backends."""
