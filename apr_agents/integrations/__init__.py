"""Doors into other programs' frameworks; each is imported by itself, and imports that framework."""
