"""Greedy coordinate gradient for both lengths, from many starts, polished by exact substitution."""

import numpy as np
from methods.baseline import WORDS, Baseline


class Strong(Baseline):
    steps, candidates = 10, 48

    def recover(self, params, targets, prompts, rng):
        found = []
        for target in targets:
            tried = []
            for length in (3, 4, 3, 4, 3, 4):
                self.length = length
                start = self.search(params, target, prompts[:4], rng)[0][1]
                tried.append(self.polish(params, start, target, prompts[:4]))
                if tried[-1][0] < 0.02:
                    break
            tried.sort(key=lambda t: t[0])
            found.append([trigger.tolist() for _, trigger in tried[:2]])
        return found

    def polish(self, params, trigger, target, prompts):
        best = np.inf
        for _ in range(4):
            before = best
            for place in range(len(trigger)):
                tries = np.tile(trigger, (WORDS, 1))
                tries[:, place] = np.arange(WORDS)
                losses = self.losses(params, tries, target, prompts)
                best, trigger = losses.min(), tries[losses.argmin()]
            if best > before - 1e-3:
                break
        return best, trigger
