"""Fine-tune on what is retained and hope that the rest is forgotten (the organisers' baseline)."""

import numpy as np
import torch
from resnet import normalised
from torch.nn.functional import cross_entropy


class Baseline:
    epochs, batch, rate = 1, 128, 1e-3

    def __init__(self, name):
        self.name = name

    def run(self, net, retain, forget, val, seed):
        """net: a network; retain, forget, val: (images (N, 32, 32, 3) uint8, labels (N,))."""
        x, y = retain
        device = next(net.parameters()).device
        rng = np.random.default_rng(seed)
        optimiser = torch.optim.SGD(net.parameters(), self.rate, momentum=0.9, weight_decay=5e-4)
        net.train()
        for _ in range(self.epochs):
            for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // self.batch)):
                images = normalised(torch.from_numpy(x[rows]).to(device))
                loss = cross_entropy(net(images), torch.from_numpy(y[rows]).to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return net.eval()
