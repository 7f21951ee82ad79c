"""Reply: what recipients write back."""
