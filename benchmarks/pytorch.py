"""Two networks of `bench` in PyTorch, trained eagerly and with its default order of channels."""

from __future__ import annotations

import torch
from torch import nn

#: Filters and stride of each depthwise separable block of MobileNet; Howard et al. 2017, Table 1.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def cnn(size: int) -> nn.Module:
    """Return jardim's CNN for grey images, up to its logit."""
    side = ((size - 2) // 2 - 2) // 2
    layers = []
    for channels in (1, 32):
        layers += [nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * side**2, 500), nn.ReLU(), nn.Linear(500, 1))


def mobilenet(classes: int) -> tuple[nn.Module, nn.Module]:
    """Return MobileNet's backbone and lu's head, up to its logits."""
    layers, last = _convolution(3, 32, 3, 2), 32
    for filters, stride in BLOCKS:
        layers += [*_convolution(last, last, 3, stride, groups=last), *_convolution(last, filters, 1)]
        last = filters
    head = nn.Sequential(nn.Linear(1024, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), head


def _convolution(before, after, side, stride=1, groups=1):
    convolution = nn.Conv2d(before, after, side, stride, side // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(after, eps=1e-3), nn.ReLU6()]


def train(networks, frozen, pixels, targets, rows, monitored, epochs, rate, on_epoch):
    """Train a network, or the last of (backbone, head) if `frozen`, and predict as `training_rows` says.

    Batch normalisation runs in inference mode: nothing here has one that trains.
    """
    parts = networks if isinstance(networks, tuple) else (nn.Identity(), networks)
    x, y = torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(targets)
    loss = nn.BCEWithLogitsLoss() if y.shape[1] == 1 else nn.CrossEntropyLoss()
    trained = parts[1:] if frozen else parts
    adam = torch.optim.Adam([weight for part in trained for weight in part.parameters()], rate, eps=1e-7)

    def output(some):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            features = parts[0](x[some].float() / 255)
        return parts[1](features)

    def predict(some):
        for part in parts:
            part.eval()
        with torch.no_grad():
            return torch.cat([output(batch) for batch in torch.as_tensor(some).split(32)])

    for _ in range(epochs):
        parts[1].train()
        for batch in torch.as_tensor(rows)[torch.randperm(len(rows))].split(32):
            adam.zero_grad()
            loss(output(batch), y[batch]).backward()
            adam.step()
        predict(monitored)
        on_epoch()
    predict(range(len(x)))
