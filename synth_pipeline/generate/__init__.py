"""Generators: engines that learn from a curator's answers and sample encoded rows, behind one protocol.

Belongs here: training, sampling, saving. Does not: decoding values (encode), rules across columns (constrain), scoring (benchmark).
"""
