"""The one stateful thing: configuration, edits, history, cached stages, jobs, saved files."""
