"""Finished examples on the public interface."""
