"""Fork and join on a CUDA machine: SGLang with a model that has the shape of one of 8B and no trained weights."""
