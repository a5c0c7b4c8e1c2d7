"""How a method is called, and what becomes of its answer."""

import numpy as np


def sessions(folder):
    """Return a list of (locale, [items, oldest first])."""
    locale, items = np.load(folder / "locale.npy"), np.load(folder / "items.npy")
    return [(int(k), [int(i) for i in row if i >= 0]) for k, row in zip(locale, items)]


def run(method, train, inputs, outputs, seed):
    method.fit(sessions(train), np.load(train / "next_item.npy").tolist(), seed)
    ranked = method.predict(sessions(inputs))
    table = np.full((len(ranked), 100), -1, np.int32)
    for row, items in zip(table, ranked):
        row[: min(100, len(items))] = items[:100]
    np.save(outputs / "predictions.npy", table)
