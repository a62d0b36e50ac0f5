"""Code run by the template's own Python: standard library and cookiecutter only."""
