"""Views of a report: text, JSON and its schema. Each is a function of a Report and of nothing else."""
