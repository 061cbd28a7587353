"""Training libraries: a callback for each, in a module of the library's name."""
