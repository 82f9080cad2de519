"""All parameters as one array, and what moves them."""
import math

import torch

from model import Linear


class Flat:
    """All parameters in one array, so that processes share them and one step updates them."""

    def __init__(self, student, values=None, gradients=None):
        self.slices, at = {}, 0
        for name, p in student.named_parameters():
            self.slices[name] = slice(at, at + p.numel())
            at += p.numel()
        device = next(student.parameters()).device
        fresh = values is None
        self.values = torch.zeros(at, device=device) if fresh else values
        self.gradients = torch.zeros(at, device=device) if gradients is None else gradients
        for name, p in student.named_parameters():
            view = self.values[self.slices[name]].view(p.shape)
            if fresh:
                view.copy_(p.data)
            p.data = view
            if p.requires_grad:
                p.grad = self.gradients[self.slices[name]].view(p.shape)


def orthogonal(matrices):
    """The nearest matrices with orthogonal rows or columns, roughly, by Newton and Schulz.
    [N, rows, columns], of about the same gradient everywhere."""
    x = matrices.bfloat16() if Linear.fast else matrices
    tall = x.size(1) > x.size(2)
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Optimizer:
    """On the flat arrays: momentum made orthogonal (Muon) for the matrices of the blocks, AdamW for
    all else, and an average of the weights over time."""

    BETAS, DECAY, AVERAGE, MOMENTUM = (0.9, 0.98), 0.02, 0.999, 0.95

    def __init__(self, student, flat):
        self.flat, self.shapes = flat, {n: p.shape for n, p in student.named_parameters()}
        self.mean = torch.zeros_like(flat.values)
        self.square = torch.zeros_like(flat.values)
        self.average = flat.values.clone()
        self.decay = torch.zeros_like(flat.values)
        self.matrices = {}  # by shape
        for name, shape in self.shapes.items():
            if len(shape) == 2 and not name.endswith("features"):
                self.decay[flat.slices[name]] = self.DECAY
            if len(shape) == 2 and ".blocks." in name:
                self.matrices.setdefault(shape, []).append(name)
        self.learns = None
        self.learning = []

    def begin(self, learn):
        """What the stage before has taught is the average, and its momentum is forgotten."""
        self.flat.values.copy_(self.average)
        self.mean.zero_()
        self.square.zero_()
        self.choose(learn)

    def choose(self, learn):
        """learn: beginnings of the names of the parameters that move from here on."""
        self.learns = torch.zeros_like(self.flat.values)
        learning = set()
        for name, where in self.flat.slices.items():
            if any(name.startswith(prefix) for prefix in learn):
                if not name.endswith("features"):
                    self.learns[where] = 1
                    learning.add(name)
        self.learning = [[name for name in names if name in learning]
                         for names in self.matrices.values()]

    def step(self, gradient, rate, number):
        """number: of the step in its stage, from 1. -> the gradient's length"""
        gradient = gradient * self.learns
        length = gradient.norm().item()
        if not math.isfinite(length):
            return length
        gradient.mul_(min(1.0, 1.0 / (length + 1e-6)))
        b1, b2 = self.BETAS
        self.mean.lerp_(gradient, 1 - b1)
        self.square.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        root = (self.square / (1 - b2 ** number)).sqrt_().add_(1e-8)
        update = self.mean / (root * (1 - b1 ** number))
        for names in self.learning:
            if names:
                self._turn(names, gradient, update)
        update.addcmul_(self.flat.values, self.decay).mul_(self.learns)
        self.flat.values.sub_(update, alpha=rate)
        self.average.lerp_(self.flat.values, 1 - min(self.AVERAGE, (1 + number) / (10 + number)))
        return length

    def _turn(self, names, gradient, update):
        """Replaces the update of matrices of one shape. Their `mean` is Muon's momentum."""
        shape = self.shapes[names[0]]
        slices = [self.flat.slices[name] for name in names]
        # As of AdamW: the mean is kept with its own factor.
        fresh = torch.stack([gradient[where] for where in slices])
        old = torch.stack([self.mean[where] for where in slices])
        b1 = self.BETAS[0]
        mean = (old - (1 - b1) * fresh) / b1 * self.MOMENTUM + (1 - self.MOMENTUM) * fresh
        ahead = (self.MOMENTUM * mean + (1 - self.MOMENTUM) * fresh).view(-1, *shape)
        # As long as what AdamW does, so that one learning rate suits both.
        turned = 0.2 * math.sqrt(max(shape)) * orthogonal(ahead).flatten(1)
        for where, one, kept in zip(slices, turned, mean):
            update[where] = one
            self.mean[where] = kept

    def state(self):
        arrays = {"mean": self.mean, "square": self.square, "average": self.average,
                  "values": self.flat.values}
        return {kind: {name: array[where].view(self.shapes[name]).clone()
                       for name, where in self.flat.slices.items()}
                for kind, array in arrays.items()}

    def load(self, state):
        arrays = {"mean": self.mean, "square": self.square, "average": self.average,
                  "values": self.flat.values}
        for kind, array in arrays.items():
            for name, tensor in state[kind].items():
                if name in self.flat.slices:
                    array[self.flat.slices[name]] = tensor.flatten().to(array.device)
