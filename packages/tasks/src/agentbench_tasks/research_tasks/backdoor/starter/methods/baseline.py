"""Greedy coordinate gradient (Zou et al. 2023), a few steps from one random start."""

import numpy as np
from transformer import backward, cross_entropy, forward

WORDS, SEPARATOR = 120, 121


class Baseline:
    length, steps, restarts, candidates, prompts_used = 4, 4, 1, 32, 8

    def __init__(self, name):
        self.name = name

    def recover(self, params, targets, prompts, rng):
        """Two guesses at the trigger of each target, as lists of word numbers."""
        found = []
        for target in targets:
            tried = []
            for _ in range(self.restarts):
                tried += self.search(params, target, prompts[: self.prompts_used], rng)
            tried.sort(key=lambda t: t[0])
            found.append([trigger.tolist() for _, trigger in tried[:2]])
        return found

    def search(self, params, target, prompts, rng):
        trigger = rng.integers(0, WORDS, self.length)
        best = self.losses(params, trigger[None], target, prompts)[0]
        for _ in range(self.steps):
            slope = self.gradient(params, trigger, target, prompts)
            top = np.argsort(slope, 1)[:, : self.candidates]
            place = rng.integers(0, len(trigger), self.candidates)
            tries = np.tile(trigger, (self.candidates, 1))
            chosen = rng.integers(0, top.shape[1], len(tries))
            tries[np.arange(len(tries)), place] = top[place, chosen]
            losses = self.losses(params, tries, target, prompts)
            if losses.min() < best:
                best, trigger = losses.min(), tries[losses.argmin()]
        return [(best, trigger)]

    def texts(self, triggers, target, prompts):
        """Every trigger after every prompt, and then the target: (triggers * prompts, length)."""
        n, p = len(triggers), len(prompts)
        parts = [np.tile(prompts, (n, 1)), np.repeat(triggers, p, 0)]
        parts += [np.full((n * p, 1), SEPARATOR), np.tile(target, (n * p, 1))]
        return np.concatenate(parts, 1)

    def losses(self, params, triggers, target, prompts):
        """Mean cross-entropy of the target for each trigger."""
        x = self.texts(triggers, target, prompts)
        logits = forward(params, x[:, :-1])[0][:, -len(target) :].astype(np.float64)
        top = logits.max(-1, keepdims=True)
        log = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
        chosen = np.take_along_axis(log, x[:, -len(target) :, None], 2)
        return -chosen.reshape(len(triggers), -1).mean(1)

    def gradient(self, params, trigger, target, prompts):
        """First-order change of the loss for each word in each place: (places, WORDS)."""
        x = self.texts(trigger[None], target, prompts)
        weights = np.zeros((len(x), x.shape[1] - 1), np.float32)
        weights[:, -len(target) :] = 1
        logits, tape = forward(params, x[:, :-1])
        _, d = cross_entropy(logits, x[:, 1:], weights)
        slope = backward(params, tape, d)[1].sum(0)
        first = prompts.shape[1]
        return slope[first : first + len(trigger)] @ params["tok"][:WORDS].T
