"""Files for ParaView's start, used by the launcher; nothing to import from here."""
