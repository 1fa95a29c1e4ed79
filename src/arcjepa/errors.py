"""The one error that a user's input can cause."""


class UserError(ValueError):
    """Unusable input: one line that names the file, the key, the value, what is allowed and what to type next."""
