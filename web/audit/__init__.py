"""The history for auditors: found, shown, proved, taken away."""
