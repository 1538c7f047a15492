"""From a file to a private snapshot: reading, schema check, bounding and splitting by person, fingerprint, native codes.

Belongs here: everything that touches raw rows before a curator holds them. Does not: measurements of any kind (privacy, profile).
"""
