"""The outside world, one module per thing we talk to."""
