"""A proposer without a language model: it evolves score expressions over the contract's inputs."""
