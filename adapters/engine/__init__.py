"""The healing engine: what it is given, what it is sent, and its own side of the API."""
