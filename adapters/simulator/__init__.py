"""A stand-in for WeCom and a sample healing engine: what `make demo` shows."""
