"""Proof that what is stored was not altered: a Merkle tree over the events, its signed heads."""
