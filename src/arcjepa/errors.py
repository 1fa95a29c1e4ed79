"""The one error that a user's input can cause."""


class UserError(ValueError):
    """Input that cannot be used: one line that names the file, the key, the value, what is allowed and what to type next."""
