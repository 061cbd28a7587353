"""The networks, data sets and training of the study, and access to a user's own."""
