"""The nouns of the walk: column kinds, native grids, partitions, encoded tables and released profiles, as frozen values.

Belongs here: what a table is and how its cells are counted. Does not: reading files (snapshot), noise (privacy), bins (profile).
"""
