"""In the place of AWS's inference toolkit: what user code of script mode imports from it."""
