"""How a method is called, and what becomes of its answer."""

import numpy as np


def labelled(folder):
    """Return name -> (images (M, 128, 128, 3) uint8, labels (M,)) of the data sets in a folder."""
    return {
        p.name.split(".")[0]: (
            np.load(p, mmap_mode="r"),
            np.load(folder / p.name.replace(".images.", ".label.")),
        )
        for p in sorted(folder.glob("*.images.npy"))
    }


def run(method, train, inputs, outputs, seed):
    method.meta_fit({**labelled(train), **labelled(inputs)}, seed)
    images = np.load(inputs / "images.npy", mmap_mode="r")
    names = ("support", "support_label", "support_task", "query", "query_task", "ways")
    data = {name: np.load(inputs / f"{name}.npy") for name in names}
    order = np.argsort(data["query_task"], kind="stable")
    tasks = np.arange(len(data["ways"]) + 1)
    s_edge = np.searchsorted(data["support_task"], tasks)
    q_edge = np.searchsorted(data["query_task"][order], tasks)
    predictions = np.zeros(len(order), np.int64)
    for t, ways in enumerate(data["ways"]):
        s, q = slice(s_edge[t], s_edge[t + 1]), order[q_edge[t] : q_edge[t + 1]]
        learned = method.fit(images[data["support"][s]], data["support_label"][s], int(ways))
        predictions[q] = learned(images[data["query"][q]])
    np.save(outputs / "predictions.npy", predictions)
