"""The map between native codes and the encoded rows that generators see, and back to a table of values.

Belongs here: encoding, decoding, conditions over codes, invented identifiers. Does not: measuring (profile) or training (generate).
"""
