"""Settings of every test in this package."""

from hypothesis import settings

# The first example of a test may import scipy or statsmodels, and other work shares the machine.
settings.register_profile("scoring", deadline=None)
settings.load_profile("scoring")
