"""Models of the cross-section: one model a module, each a plain class with settings, fit, result and forecast."""
