"""Convolution and products by the dot instructions of the machine: :mod:`.tiles` says how, :mod:`..isa` which."""
