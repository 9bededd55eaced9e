"""`pvm doctor`: what is installed, missing or mis-set on this machine, each fault with its remedy."""
