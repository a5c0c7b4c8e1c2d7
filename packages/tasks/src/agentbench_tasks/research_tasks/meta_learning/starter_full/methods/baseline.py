"""Prototypical networks (Snell et al. 2017) on four convolutional blocks."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy


def network():
    blocks, width = [], 3
    for _ in range(4):
        blocks += [nn.Conv2d(width, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
        blocks += [nn.MaxPool2d(2)]
        width = 64
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten())


class Baseline:
    episodes, ways, shots, queries = 2000, 5, 5, 10

    def __init__(self, name):
        self.name = name
        self.device = "cuda" if torch.cuda.is_available() else "cpu"

    def tensor(self, images):
        """(M, 128, 128, 3) uint8 -> (M, 3, 128, 128) in [-1, 1]."""
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        return x.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1

    def meta_fit(self, sets, seed):
        """sets: name -> (images, labels)."""
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        self.net = network().to(self.device).train()
        optimiser = torch.optim.Adam(self.net.parameters(), 1e-3)
        by_class = [
            (images, [np.flatnonzero(labels == c) for c in np.unique(labels)])
            for images, labels in sets.values()
        ]
        for _ in range(self.episodes):
            images, classes = by_class[rng.integers(len(by_class))]
            ways = min(self.ways, len(classes))
            picks = [
                rng.choice(classes[c], self.shots + self.queries)
                for c in rng.permutation(len(classes))[:ways]
            ]
            z = self.net(self.tensor(images[np.concatenate(picks)]))
            z = z.reshape(ways, self.shots + self.queries, -1)
            prototypes = z[:, : self.shots].mean(1)
            queries = z[:, self.shots :].reshape(ways * self.queries, -1)
            target = torch.arange(ways, device=z.device).repeat_interleave(self.queries)
            loss = cross_entropy(-(torch.cdist(queries, prototypes) ** 2) / z.shape[-1], target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        self.net.eval()

    @torch.no_grad()
    def embed(self, images):
        """(M, 128, 128, 3) -> (M, features)."""
        parts = np.array_split(images, -(-len(images) // 256))
        return torch.cat([self.net(self.tensor(part)) for part in parts])

    def fit(self, images, labels, ways):
        """Learn one task; returns a function from query images to labels 0..ways-1."""
        z, y = self.embed(images), torch.from_numpy(labels.astype(np.int64)).to(self.device)
        prototypes = torch.stack([z[y == c].mean(0) for c in range(ways)])
        return lambda queries: torch.cdist(self.embed(queries), prototypes).argmin(1).cpu().numpy()
