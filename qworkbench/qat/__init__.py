"""The training side: the names of the training plugin's public API on this package's own numerics and fusion."""
