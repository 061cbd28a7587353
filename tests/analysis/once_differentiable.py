"""A layer whose second derivative PyTorch does not know."""

import torch
from torch import nn


class OnceTanh(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x.tanh())
        return x.tanh()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        (y,) = context.saved_tensors
        return gradient * (1 - y * y)


class Once(nn.Module):
    def forward(self, x):
        return OnceTanh.apply(x)
