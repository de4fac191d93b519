"""A model as a graph of named operators: where it comes from, how it runs in float, how it may be edited and fused.

Start at :mod:`qworkbench.graph.ir` for the types and :mod:`qworkbench.graph.vocabulary` for the operators. Torch models
enter by :mod:`qworkbench.graph.torch_frontend`. Importing the package imports none of them, so it costs nothing.
"""
