"""What the API does with its methods, over ports."""
