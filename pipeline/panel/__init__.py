"""What every panel needs: calendar, windows, walk-forward regression, cross-section."""
