"""Topology of scalar fields on regular grids, in NumPy, with the schema and the values of TTK.

>>> from losslandscape import topology
>>> topology.morse_smale_complex([[0, 5, 1], [2, 6, 3]]).critical_points["CellDimension"]
array([0, 0, 1], dtype=int8)
"""

from losslandscape.topology.morse_smale_complex import MorseSmaleComplex, morse_smale_complex
from losslandscape.topology.persistence import persistence_pairs
from losslandscape.topology.scalar_field import FieldError
from losslandscape.topology.simplification import SimplifiedField, simplify

__all__ = [
    "FieldError",
    "MorseSmaleComplex",
    "SimplifiedField",
    "morse_smale_complex",
    "persistence_pairs",
    "simplify",
]
