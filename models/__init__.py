"""Face models: they know pixels and vectors and nothing about doors. See models/README.md."""
