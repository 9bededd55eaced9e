"""Which products to show beside a product."""
