"""In the place of AWS's MXNet training toolkit: what user code imports from it."""
