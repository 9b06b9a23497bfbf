"""In the place of AWS's legacy container library: what user code imports from it."""
