"""Convolution and products by the dot instructions of the machine: :mod:`.tile` says how, :mod:`..isa` which."""
