"""A landscape's file and exports, read as VTK's data and opened as ParaView's pipeline objects."""
