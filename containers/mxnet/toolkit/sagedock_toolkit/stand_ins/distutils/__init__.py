"""In the place of the standard library's distutils, which Python 3.12 no longer has."""
