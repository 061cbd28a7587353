"""What ParaView's window offers: macros, the selection, Refine Here, the first view."""
