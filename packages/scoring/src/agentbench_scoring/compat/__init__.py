"""What other graders compute, their defects included, so that published results can be re-derived.

Opt-in: nothing else in this package uses it. Definitions were derived from observed behaviour.
"""
