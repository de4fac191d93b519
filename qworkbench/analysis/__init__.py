"""Comparison of a run with its float reference: metrics, and the tables and searches built on them."""
