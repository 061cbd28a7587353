"""The result: plain data with its errors."""
