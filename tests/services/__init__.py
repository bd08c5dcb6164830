"""Real engines for tests: from PyPI, or those that the environment names."""
