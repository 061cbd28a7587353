"""Callbacks for training libraries, each in a module with the library's name."""
