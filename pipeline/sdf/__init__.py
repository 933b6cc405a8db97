"""Networks whose output is the stochastic discount factor's portfolio, and networks that forecast with it."""
