"""Other ways to relay the same stream, measured beside openbolt in the same run."""
