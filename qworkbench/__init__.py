"""qworkbench: see where each op of a model runs on the BPU and why, change it, and watch the integers move."""

__version__ = "0.1.0"
