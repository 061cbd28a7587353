"""Model families: each measured, verified, and its value compared with PyTorch's own."""
