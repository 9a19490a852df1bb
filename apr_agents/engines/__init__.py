"""What turns a context into more tokens."""
