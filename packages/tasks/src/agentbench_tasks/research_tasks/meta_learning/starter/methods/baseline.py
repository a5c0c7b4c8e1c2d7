"""Prototypes: the class whose mean support image is nearest in pixel space."""

import numpy as np


class Baseline:
    def __init__(self, name):
        self.name = name

    def meta_fit(self, images, seed):
        """images: (domains, classes, images, 20, 20) in [0, 1]."""

    def embed(self, images):
        """(M, 20, 20) -> (M, features)."""
        return images.reshape(len(images), -1)

    def fit(self, images, labels, ways):
        """Learn one task; returns a function from query images to labels 0..ways-1."""
        x = self.embed(images)
        prototypes = np.stack([x[labels == c].mean(0) for c in range(ways)])

        def predict(queries):
            z = self.embed(queries)
            return ((z[:, None] - prototypes[None]) ** 2).sum(2).argmin(1)

        return predict
