# pyright: basic
# (torch is an optional dependency)
"""ResNet-18 (He et al. 2016) with the parameter names of torchvision, in plain torch."""

import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions of 3 x 3 beside a shortcut."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.downsample = None
        if stride != 1 or inner != outer:
            self.downsample = nn.Sequential(
                nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features (B, outer, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + shortcut)


class ResNet18(nn.Module):
    """Images (B, 3, H, W) to logits (B, classes); the original has width 64."""

    def __init__(self, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._layer(width, width, 1)
        self.layer2 = self._layer(width, 2 * width, 2)
        self.layer3 = self._layer(2 * width, 4 * width, 2)
        self.layer4 = self._layer(4 * width, 8 * width, 2)
        self.fc = nn.Linear(8 * width, classes)

    @staticmethod
    def _layer(inner: int, outer: int, stride: int) -> nn.Sequential:
        return nn.Sequential(Block(inner, outer, stride), Block(outer, outer, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def from_weights(weights: dict[str, torch.Tensor]) -> ResNet18:
    """Return a network of the width and classes that the weights have."""
    net = ResNet18(len(weights["fc.bias"]), len(weights["bn1.weight"]))
    net.load_state_dict(weights)
    return net


MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def normalised(images: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float, as the networks of CIFAR-10 were trained on.

    In the order of its dimensions: where channels come last in memory, torch 2.15 on one thread
    writes beyond its memory in the backward pass of a 1 x 1 convolution of stride 2.
    """
    mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (MEAN, STD))
    return (images.permute(0, 3, 1, 2).contiguous().float() / 255 - mean) / std
