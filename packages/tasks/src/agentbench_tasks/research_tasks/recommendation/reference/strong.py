"""Blend of transitions at four lags, co-visits, items seen before, and popularity in the locale."""

from collections import Counter, defaultdict

LAGS = (0.16, 0.44, 0.04, 0.02)
REVISIT, COVISIT, POPULAR, PRIOR = 0.20, 0.12, 0.02, 2.0


class Strong:
    def __init__(self, name):
        self.name = name

    def fit(self, sessions, next_items, seed):
        self.after = [defaultdict(Counter) for _ in LAGS]
        self.together, self.popular = defaultdict(Counter), defaultdict(Counter)
        for (locale, items), target in zip(sessions, next_items):
            self.count(locale, [*items, target])

    def count(self, locale, items):
        for i, b in enumerate(items):
            self.popular[locale][b] += 1
            for lag, table in enumerate(self.after, 1):
                if i >= lag:
                    table[items[i - lag]][b] += 1
            for a in items[max(0, i - 6) : i]:
                self.together[a][b] += 1
                self.together[b][a] += 1

    def predict(self, sessions):
        for locale, items in sessions:
            self.count(locale, items)
        return [self.rank(locale, items) for locale, items in sessions]

    def rank(self, locale, items):
        score = Counter()
        for weight, table, item in zip(LAGS, self.after, reversed(items)):
            self.add(score, table[item], weight)
        distinct = set(items)
        for item in distinct:
            self.add(score, self.together[item], COVISIT / len(distinct))
            score[item] += REVISIT * items.count(item) / len(items)
        total = sum(self.popular[locale].values())
        for item, n in self.popular[locale].most_common(150):
            score[item] += POPULAR * n / total
        score[items[-1]] = -1
        return [item for item, _ in score.most_common(100)]

    @staticmethod
    def add(score, counts, weight):
        total = sum(counts.values()) + PRIOR
        for item, n in counts.items():
            score[item] += weight * n / total
