"""Running untrusted candidates, from which only scores are accepted."""
