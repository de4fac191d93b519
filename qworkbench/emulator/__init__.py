"""The integer plan of a placed graph and its execution; ``kernels`` holds the numba functions."""
