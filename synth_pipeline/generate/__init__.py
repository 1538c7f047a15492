"""Generators: engines that learn from a curator's answers and sample encoded rows, behind one protocol.

Belongs here: training, sampling, filling given rows, saving, and blocks that engines share (dpsgd, graphical, neural). Does not: decoding
values (encode), parsing and checking rules (constrain; a fit may use their regions as public facts), scoring (benchmark).
"""
