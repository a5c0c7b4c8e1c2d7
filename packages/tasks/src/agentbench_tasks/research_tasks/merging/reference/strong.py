"""Average the experts, then distil each on unlabelled prompts that it answers itself."""

import numpy as np
from transformer import Adam, backward, decode, forward, schedule, softmax

ANSWER, BATCH, STEPS = 5, 16, 240


class Strong:
    def __init__(self, name):
        self.name = name

    def merge(self, base, experts, prompts, rng):
        merged = {k: sum(e[k] for e in experts) / len(experts) for k in base}
        start = prompts.shape[2] - 1
        texts, targets = [], []
        for expert, p in zip(experts, prompts):
            strings = p[:, 1:-1]
            letters = np.unique(strings)
            more = np.repeat(p, 3, 0)
            more[:, 1:-1] = rng.choice(letters, more[:, 1:-1].shape)
            asked = np.concatenate([p, more])
            text = np.concatenate([asked, decode(expert, asked, ANSWER)], 1)[:, :-1]
            texts.append(text)
            targets.append(softmax(forward(expert, text)[0][:, start:]))
        optimiser = Adam(merged, 1.5e-3)
        for step in range(STEPS):
            x, y = [], []
            for text, target in zip(texts, targets):
                rows = rng.integers(0, len(text), BATCH)
                x.append(text[rows])
                y.append(target[rows])
            logits, tape = forward(merged, np.concatenate(x))
            y = np.concatenate(y)
            d = np.zeros_like(logits)
            d[:, start:] = (softmax(logits[:, start:]) - y) / (len(y) * ANSWER)
            optimiser.update(backward(merged, tape, d)[0], schedule(step, STEPS))
        return merged
