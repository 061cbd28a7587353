"""VTK algorithms over a landscape's grid; `proxies` gives them their properties."""
