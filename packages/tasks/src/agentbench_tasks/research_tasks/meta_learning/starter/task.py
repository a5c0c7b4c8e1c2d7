"""How a method is called, and what becomes of its answer."""

import numpy as np


def run(method, train, inputs, outputs, seed):
    method.meta_fit(np.load(train / "images.npy") / np.float32(255), seed)
    names = ("support", "support_label", "support_task", "query", "query_task", "ways")
    data = {name: np.load(inputs / f"{name}.npy") for name in names}
    predictions = np.zeros(len(data["query"]), np.int64)
    for t, ways in enumerate(data["ways"]):
        s, q = data["support_task"] == t, data["query_task"] == t
        learned = method.fit(
            data["support"][s] / np.float32(255), data["support_label"][s], int(ways)
        )
        predictions[q] = learned(data["query"][q] / np.float32(255))
    np.save(outputs / "predictions.npy", predictions)
