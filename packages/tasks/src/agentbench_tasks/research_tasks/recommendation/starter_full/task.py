"""How a method is called, and what becomes of its answer."""

import numpy as np


def sessions(folder):
    """Return a list of (locale, [items, oldest first]); items are rows of train/item_ids.npy."""
    locale, start = np.load(folder / "locale.npy").tolist(), np.load(folder / "start.npy")
    items = np.load(folder / "items.npy").tolist()
    return [(k, items[a:b]) for k, a, b in zip(locale, start[:-1], start[1:])]


def run(method, train, inputs, outputs, seed):
    method.fit(sessions(train), np.load(train / "next_item.npy").tolist(), seed)
    ranked = method.predict(sessions(inputs))
    table = np.full((len(ranked), 100), -1, np.int32)
    for row, items in zip(table, ranked):
        row[: min(100, len(items))] = items[:100]
    np.save(outputs / "predictions.npy", table)
