"""Softmax regression on temporal context, boundary detectors, many thresholds, soft-NMS."""

import numpy as np
from methods.baseline import CLASSES, frame_labels, runs, smooth

OFFSETS = (-12, -8, -5, -3, -2, -1, 0, 1, 2, 3, 5, 8, 12)


def context(x):
    """Stack the frame's neighbours and moving averages: (N, T, F)."""
    n, length, _ = x.shape
    time = np.arange(length)
    parts = [x[:, np.clip(time + o, 0, length - 1)] for o in OFFSETS]
    parts += [smooth(x, w) for w in (5, 9, 17, 33)]
    return np.concatenate([*parts, np.ones((n, length, 1), x.dtype)], 2)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Strong:
    def __init__(self, name):
        self.name = name

    def fit(self, features, segments, seed):
        rng = np.random.default_rng(seed)
        n, length, _ = features.shape
        x = context(features)
        flat = x.reshape(-1, x.shape[2])
        y = frame_labels(segments, n, length).ravel()
        self.frame = self.train(flat, y, CLASSES + 1, rng)
        edge = np.zeros((2, n, length), int)
        for video, c, start, end in segments:
            for side, t in enumerate((int(start), int(end) - 1)):
                edge[side, int(video), t] = int(c) + 1
        self.edge = [self.train(flat, e.ravel(), CLASSES + 1, rng) for e in edge]

    @staticmethod
    def train(x, y, classes, rng, epochs=16, batch=256, decay=2e-3):
        w = np.zeros((x.shape[1], classes))
        m, v, t = np.zeros_like(w), np.zeros_like(w), 0
        for epoch in range(epochs):
            rate = 5e-3 * (1 - epoch / epochs)
            for rows in np.array_split(rng.permutation(len(x)), len(x) // batch):
                p = softmax(x[rows] @ w)
                p[np.arange(len(rows)), y[rows]] -= 1
                g = x[rows].T @ p / len(rows) + decay * w
                t += 1
                m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
                w -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        return w

    def predict(self, features):
        x = context(features)
        inside = smooth(softmax(x @ self.frame)[..., 1:], 3)
        onset, offset = (softmax(x @ w)[..., 1:] for w in self.edge)
        found = []
        for video in range(len(x)):
            for c in range(CLASSES):
                found += self.segments(
                    video, c, inside[video, :, c], onset[video, :, c], offset[video, :, c]
                )
        return found

    def segments(self, video, c, inside, onset, offset):
        total = np.r_[0, inside.cumsum()]
        length = len(inside)
        candidates = {}
        for threshold in (0.08, 0.15, 0.25, 0.35, 0.5, 0.65):
            for start, end in runs(inside >= threshold):
                near_a = range(max(0, start - 3), min(end - 1, start + 4))
                near_b = range(max(start + 2, end - 3), min(length, end + 3) + 1)
                a = max(near_a, key=lambda t: onset[t], default=start)
                b = max(near_b, key=lambda t: offset[t - 1], default=end)
                for s, e in {(start, end), (a, b)}:
                    if e - s < 3:
                        continue
                    mean = (total[e] - total[s]) / (e - s)
                    around = [*inside[max(0, s - 4) : s], *inside[e : e + 4]]
                    contrast = mean - (np.mean(around) if around else 0)
                    bonus = onset[s] + offset[e - 1]
                    candidates[s, e] = max(0.0, mean + 0.5 * contrast + 0.7 * bonus)
        return self.soft_nms(video, c, candidates)

    @staticmethod
    def soft_nms(video, c, candidates, sigma=0.3):
        left, kept = [(s, e, w) for (s, e), w in candidates.items() if w > 0.03], []
        while left and len(kept) < 20:
            left.sort(key=lambda k: -k[2])
            s, e, w = left.pop(0)
            kept.append((video, c, s, e, w))
            again = []
            for s2, e2, w2 in left:
                inter = max(0, min(e, e2) - max(s, s2))
                iou = inter / (e - s + e2 - s2 - inter)
                w2 *= np.exp(-iou * iou / sigma)
                if w2 > 0.03:
                    again.append((s2, e2, w2))
            left = again
        return kept
