"""What a client did wrong, in OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}``."""

from typing import Any

from trivium.errors import DataError, RefusedError, SettingsError, TriviumError


class Refusal(Exception):
    """An answer that is an error. ``param``: the field that is meant; ``code``: a word that programs look at."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.headers = status, message, param, code, headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON that is sent."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        if self.status == 429:
            kind = "rate_limit_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def refusal_of(problem: TriviumError) -> Refusal:
    """What a model would not do with what it was given: the client's to change."""
    code = "context_length_exceeded" if "context" in str(problem) else None
    known = isinstance(problem, SettingsError | DataError | RefusedError)
    return Refusal(400 if known else 500, str(problem), code=code)
