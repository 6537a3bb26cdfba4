"""The code that runs in the jail. Nothing here is trusted once a candidate has been loaded."""
