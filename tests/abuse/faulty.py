"""Code of a user's that fails in each place where it is called."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Network(nn.Module):
    """Fails in its forward pass, in the way that it is told."""

    def __init__(self, way):
        super().__init__()
        self.layer, self.way = nn.Linear(3, 3), way

    def forward(self, inputs):
        if self.way == "raises":
            raise KeyError("flavor")
        if self.way == "exits":
            exit(0)
        if self.way == "recurses":
            return self.forward(inputs)
        if self.way == "returns none":
            return None
        if self.way == "is stopped":
            raise KeyboardInterrupt
        if self.way == "raises another kind":
            raise BaseException("odd")
        return self.layer(inputs)


def forward_raises():
    return Network("raises")


def forward_exits():
    return Network("exits")


def forward_recurses():
    return Network("recurses")


def forward_returns_none():
    return Network("returns none")


def forward_is_stopped():
    return Network("is stopped")


def forward_raises_another_kind():
    return Network("raises another kind")


def loss_exits(outputs, targets):
    raise SystemExit(0)


def loss_raises(outputs, targets):
    raise ValueError("odd loss")


class Samples(Dataset):
    """Fails at sample 7, or earlier."""

    def __init__(self, way):
        self.way = way

    def __len__(self):
        if self.way == "has no length":
            raise SystemExit(0)
        return 10

    def __getitem__(self, i):
        if i == 7 and self.way == "exits":
            raise SystemExit(0)
        if i == 7:
            raise ValueError("sample seven")
        return torch.zeros(3), 0


def samples_exit():
    return Samples("exits")


def samples_raise():
    return Samples("raises")


def samples_raise_in_a_worker():
    return DataLoader(Samples("raises"), batch_size=4, num_workers=1)


def samples_have_no_length():
    return Samples("has no length")


def inputs_with_nan():
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    inputs[12, 1] = float("nan")
    return inputs, torch.arange(30) % 3


def weights_with_nan():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3)).eval()
    model[1].bias.data[2] = float("nan")
    return model


def labels_out_of_range():
    inputs, targets = inputs_with_nan()
    return inputs.nan_to_num(), targets + 1


def targets_float():
    inputs, targets = inputs_with_nan()
    return inputs.nan_to_num(), targets.float()


def inputs_too_narrow():
    inputs, targets = inputs_with_nan()
    return inputs.nan_to_num()[:, :2], targets


def frozen():
    return nn.Sequential(nn.Linear(3, 3)).requires_grad_(False)


def half():
    return nn.Sequential(nn.Linear(3, 3)).half()


def no_parameters():
    return nn.Identity()


def lazy():
    return nn.LazyLinear(3)
