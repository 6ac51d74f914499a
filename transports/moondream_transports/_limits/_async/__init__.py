"""The wait for a turn. The sync twin is generated."""
