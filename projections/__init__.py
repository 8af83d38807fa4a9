"""Read models of the event sequence; each may be dropped and rebuilt."""
