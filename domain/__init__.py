"""What an approval is: events, commands, rules, refusals. No I/O and no clock."""
