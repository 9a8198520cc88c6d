"""The example application: the whole of openbolt behind one page, on one machine."""
