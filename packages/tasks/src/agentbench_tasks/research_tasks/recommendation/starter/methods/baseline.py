"""What most often followed the last item, then what is popular (the organisers' baseline)."""

from collections import Counter, defaultdict


class Baseline:
    def __init__(self, name):
        self.name = name

    def fit(self, sessions, next_items, seed):
        """sessions: list of (locale, items); next_items: the item that followed each."""
        self.following, self.popular = defaultdict(Counter), Counter()
        for (_, items), target in zip(sessions, next_items):
            self.count([*items, target])

    def count(self, items):
        for a, b in zip(items, items[1:]):
            self.following[a][b] += 1
            self.popular[b] += 1

    def predict(self, sessions):
        """Up to 100 items for each session, best first."""
        for _, items in sessions:
            self.count(items)
        top = [item for item, _ in self.popular.most_common(200)]
        ranked = []
        for _, items in sessions:
            first = [item for item, _ in self.following[items[-1]].most_common(100)]
            seen = {*first, *items}
            ranked.append(first + [item for item in top if item not in seen])
        return ranked
