"""What the engine API promises, and the OpenAPI 3.1 document that says it."""
