"""HTTP, and the process."""
