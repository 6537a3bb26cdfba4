"""Chat models: the client that all agents use, endpoints, the local server, recordings, and parsing of replies."""
