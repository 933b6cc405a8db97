"""The simulated market: one joint economy of macro states, issuers, stocks and bonds with a known factor structure."""
