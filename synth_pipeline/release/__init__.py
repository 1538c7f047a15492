"""What leaves the released zone: the sampled model, and the bundle of data, schema, certificate, datasheet and report.

Belongs here: released values and how they are written. Does not: pages (report), approval, or anything computed on real rows.
"""
