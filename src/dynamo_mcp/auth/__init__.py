"""Who is calling? Each module that makes a `Way` is one way to find out."""
