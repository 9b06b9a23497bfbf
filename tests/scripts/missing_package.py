"""Needs a package that no environment has."""

import a_package_that_nobody_has


def train(**told):
    return a_package_that_nobody_has.train(**told)
