"""The rights of people whom data is about: requests, what they would touch, and what is done about them."""
