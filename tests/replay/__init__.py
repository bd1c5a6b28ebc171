"""Two months of the official registry's real history, replayed: what an operator's log would hold of them.

The history lies beside the checkout (`upstream/history`), and is 301 snapshots of the whole registry, about every four
hours, each as the wire then was. They are served as the registry would have served them, to increments with an audit a
day, at the time of each snapshot. What must come out is computed from the snapshots alone and held against the log.
"""
