"""Files and tables exchanged with the vendor's tools: what they print, what they read."""
