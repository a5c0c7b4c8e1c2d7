# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Shopping sessions in three locales.

Every item has a locale, a cluster, a popularity (Pareto) and eight successors. The next item of a
session is a successor of the last item, or of the one before, or an item seen before, or a popular
item of the cluster. Items, successors and the mixture are drawn from the seed.
"""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Instance

ITEMS, CLUSTERS, LOCALES, SUCCESSORS, LONGEST = 2400, 20, 3, 8, 20
SESSIONS = {"train": 16_000, "dev": 4_000, "test": 8_000}
Array = np.ndarray[Any, Any]


def generate(seed: np.random.SeedSequence) -> Instance:
    """Draw an instance.

    `locale` (N,) int16; `items` (N, 20) int32, oldest first, padded with -1 on the right;
    `next_item` (N,) int32.
    """
    world, *parts = (np.random.default_rng(s) for s in seed.spawn(4))
    shop = Shop(world)
    drawn = {
        name: shop.draw(rng, SESSIONS[name]) for name, rng in zip(SESSIONS, parts, strict=True)
    }
    keys = ("locale", "items")
    return Instance(
        train=drawn["train"],
        dev={k: drawn["dev"][k] for k in keys},
        test={k: drawn["test"][k] for k in keys},
        dev_labels={"next_item": drawn["dev"]["next_item"]},
        test_labels={"next_item": drawn["test"]["next_item"]},
    )


class Shop:
    """The items of one instance, and sessions among them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.popularity = rng.pareto(1.2, ITEMS) + 0.1
        group = rng.permutation(ITEMS) % (CLUSTERS * LOCALES)
        self.pools = [np.flatnonzero(group == g) for g in range(CLUSTERS * LOCALES)]
        self.group = group
        self.cumulative = [
            np.cumsum(self.popularity[p]) / self.popularity[p].sum() for p in self.pools
        ]
        self.successors = np.empty((ITEMS, SUCCESSORS), np.int64)
        for item in range(ITEMS):
            pool = self.pools[group[item]]
            pool = pool[pool != item]
            weight = self.popularity[pool] / self.popularity[pool].sum()
            self.successors[item] = rng.choice(pool, SUCCESSORS, replace=False, p=weight)
        zipf = 1 / np.arange(1, SUCCESSORS + 1)
        self.zipf = np.cumsum(zipf / zipf.sum())
        self.mixture = np.cumsum(rng.normal([0.16, 0.44, 0.20], 0.01))

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, Array]:
        """Draw n sessions."""
        items = np.full((n, LONGEST), -1, np.int32)
        locale, target = np.empty(n, np.int16), np.empty(n, np.int32)
        for i in range(n):
            group = int(rng.integers(len(self.pools)))
            session = self.session(rng, group)
            locale[i], target[i] = group % LOCALES, session[-1]
            items[i, : len(session) - 1] = session[:-1]
        return {"locale": locale, "items": items, "next_item": target}

    def session(self, rng: np.random.Generator, group: int) -> list[int]:
        """Draw one session, its next item last."""
        length = min(LONGEST + 1, 3 + int(rng.geometric(0.35)))
        session = [self.popular(rng, group)]
        while len(session) < length:
            u, v = rng.random(2)
            kind = int(np.searchsorted(self.mixture, u))
            if kind == 0:
                item = self.successors[session[-1], np.searchsorted(self.zipf, v)]
            elif kind == 1 and len(session) > 1:
                item = self.successors[session[-2], int(v * SUCCESSORS)]
            elif kind <= 2:
                item = session[int(v * len(session))]
            else:
                item = self.popular(rng, group)
            if item != session[-1]:
                session.append(int(item))
        return session

    def popular(self, rng: np.random.Generator, group: int) -> int:
        """Draw an item of a group by popularity."""
        return int(self.pools[group][np.searchsorted(self.cumulative[group], rng.random())])
