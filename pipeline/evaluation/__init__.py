"""Judging models: realised returns beside forecasts, R-squared, comparisons of factor spaces."""
