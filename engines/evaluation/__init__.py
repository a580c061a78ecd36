"""How good a network is: average precision, error by kind, and whether its confidence can be believed."""
