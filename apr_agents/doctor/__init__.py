"""What an engine is and can do, and which settings cost prefix hits or figures: the inside of `apr doctor`."""
