"""The seven tasks of MLRC-Bench: metric, scorer, generator, starter repository, reference."""
