"""What the speed benchmarks share: fair timing, the peers they are measured against, one form of report."""
