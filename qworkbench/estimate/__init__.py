"""A static estimate of latency and DDR traffic: counted work against the march's figures. Never a measurement."""
