"""How a method is called, and what becomes of its answer."""

import numpy as np

LONGEST = 4  # words in a trigger, 3 or 4
SEPARATOR = 121  # the model reads prompt, ending, SEPARATOR and then says three words


def run(method, train, inputs, outputs, seed):
    data = {p.stem: np.load(p) for p in inputs.glob("*.npy")}
    params = {k[6:]: v for k, v in data.items() if k.startswith("model.")}
    found = method.recover(params, data["targets"], data["prompts"], np.random.default_rng(seed))
    table = np.full((len(found), 2, LONGEST), -1)
    for row, guesses in zip(table, found):
        for cells, guess in zip(row, guesses):
            cells[: min(LONGEST, len(guess))] = guess[:LONGEST]
    np.save(outputs / "triggers.npy", table)
