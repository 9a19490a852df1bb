"""The language of workflow files: one model of a workflow, and the doors to it."""
