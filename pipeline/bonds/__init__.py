"""Corporate bonds: returns, characteristics, and the panel that models are trained on."""
