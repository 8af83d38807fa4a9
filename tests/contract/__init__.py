"""`make contract`: schemathesis against a service on loopback."""
