"""From raw features of a pair to calibrated terms, a pair's score and one decision a product and video."""
