"""What breaks in the real world, done to real engines and real processes; `make faults` does it at length."""
