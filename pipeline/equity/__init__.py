"""Stocks: characteristics of firms from CRSP and Compustat rows."""
