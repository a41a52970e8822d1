"""Face models: know pixels and vectors, nothing about doors."""
