"""Where ParaView is, its settings and its processes; nothing here imports it."""
