"""The result of a measurement: plain data with its errors."""
