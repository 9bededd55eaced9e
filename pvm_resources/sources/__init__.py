"""Where products and videos come from."""
