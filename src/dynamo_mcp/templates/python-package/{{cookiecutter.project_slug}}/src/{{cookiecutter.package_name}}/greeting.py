"""How do we greet someone?"""


def greet(name: str) -> str:
    """Greets somebody by name.

    Raises:
        ValueError: The name is empty or blank.
    """
    name = name.strip()
    if not name:
        message = "`name` must not be empty"
        raise ValueError(message)
    return f"Hello, {name}!"
