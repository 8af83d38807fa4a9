"""`make bench`: what the service does a second, as ratios measured in one run."""
