"""`python -m conformance`: the suite's own commands."""

from conformance.cli import cli

if __name__ == "__main__":
    cli(prog_name="python -m conformance")
