"""What the fault channel answers when it does not do what was asked."""


class FaultRefused(Exception):
    """A verb was not carried out; `code` is snake_case, `message` one sentence for a test's output."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
