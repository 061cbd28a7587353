"""What is measured: a model, a loss and samples."""
