"""A batch over several machines: how it is shared out, and what each of them does; knows no cluster."""
