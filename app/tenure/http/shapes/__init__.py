"""What callers get back, for the OpenAPI document. Handlers render dictionaries; tests hold both together."""
