"""Exceptions by which user code of script mode chooses the status of its answer."""

from sagedock_toolkit.content_types import UnsupportedFormatError


class BaseInferenceToolkitError(Exception):
    """Raised by user code: the client gets this status, phrase, and message with the traceback."""

    def __init__(self, status_code: int, message: str, phrase: str) -> None:
        self.status_code = status_code
        self.message = message
        self.phrase = phrase
        super().__init__(status_code, message, phrase)


class GenericInferenceToolkitError(BaseInferenceToolkitError):
    """The same with phrase and message optional."""

    def __init__(self, status_code: int, message: str = "", phrase: str = "") -> None:
        super().__init__(status_code, message or "Invalid Request", phrase or message)


__all__ = ["BaseInferenceToolkitError", "GenericInferenceToolkitError", "UnsupportedFormatError"]
