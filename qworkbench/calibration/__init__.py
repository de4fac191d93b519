"""Thresholds from data: a mergeable sketch per tensor, and the methods that read thresholds off it."""
