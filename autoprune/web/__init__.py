"""The live page of a run: an ASGI application on loopback that shows its events as they come, and takes decisions."""
