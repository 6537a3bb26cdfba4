"""Updates: new values of the weights that a mask keeps. One file holds one, under its name."""
