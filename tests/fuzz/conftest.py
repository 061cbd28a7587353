"""What is not run here: a script for ParaView's Python."""

collect_ignore = ["in_paraview.py"]
