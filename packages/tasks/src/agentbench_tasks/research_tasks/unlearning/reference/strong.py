"""Shrink and perturb: half of every weight becomes noise, then train long on what is retained.

What was learnt by heart needs all of the weights and does not survive; what generalises is learnt
again quickly (after Ash and Adams 2020).
"""

from ensemble import init, train


class Strong:
    def __init__(self, name):
        self.name = name

    def run(self, weights, retain_x, retain_y, forget_x, forget_y, rng):
        models, features, hidden = weights["w0"].shape
        fresh = init(rng, models, (features, hidden, hidden, weights["w2"].shape[2]))
        for name, noise in fresh.items():
            weights[name] = 0.4 * weights[name] + 0.6 * noise
        return train(weights, retain_x, retain_y, rng, epochs=50)
