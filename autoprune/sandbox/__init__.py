"""Running code that nobody trusts, so that only scores come out."""
