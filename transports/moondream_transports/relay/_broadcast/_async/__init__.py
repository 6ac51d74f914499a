"""The async forms, of which the sync ones are generated."""
