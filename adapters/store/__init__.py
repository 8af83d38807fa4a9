"""The event store: load, let the domain decide, save."""
