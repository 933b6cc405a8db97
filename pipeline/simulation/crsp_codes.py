"""One security's kind and end in the codes of CRSP's two layouts: SIZ numbers and CIZ letters."""

SHARE_TYPES: dict[int, dict[str, str]] = {
    10: {"sharetype": "NS", "securitytype": "EQTY", "securitysubtype": "COM", "usincflg": "Y", "issuertype": "ACOR"},
    11: {"sharetype": "NS", "securitytype": "EQTY", "securitysubtype": "COM", "usincflg": "Y", "issuertype": "CORP"},
    12: {"sharetype": "NS", "securitytype": "EQTY", "securitysubtype": "COM", "usincflg": "N", "issuertype": "CORP"},
    14: {"sharetype": "NS", "securitytype": "FUND", "securitysubtype": "CEF", "usincflg": "Y", "issuertype": "CORP"},
    18: {"sharetype": "NS", "securitytype": "EQTY", "securitysubtype": "COM", "usincflg": "Y", "issuertype": "REIT"},
    31: {"sharetype": "AD", "securitytype": "EQTY", "securitysubtype": "COM", "usincflg": "N", "issuertype": "CORP"},
    73: {"sharetype": "UG", "securitytype": "EQTY", "securitysubtype": "COM", "usincflg": "Y", "issuertype": "CORP"},
}
"""CIZ flags of each SIZ share code."""

EXCHANGE_LETTERS: dict[int, str] = {1: "N", 2: "A", 3: "Q", 4: "R"}
"""CIZ exchange of a SIZ exchange code; X where there is none."""

ELSEWHERE = "X"
HALTED_FLAG, ACTIVE_FLAG, REGULAR_WAY = "H", "A", "RW"

DELISTING_TYPES: dict[int, tuple[str, str, str]] = {
    231: ("MER", "UNAV", "VCL"),
    233: ("MER", "UNAV", "VCL"),
    241: ("MER", "UNAV", "VCL"),
    251: ("GEX", "UNAV", "VCL"),
    510: ("GDR", "MVB", "VCL"),
    516: ("GDR", "MVPAC", "VCL"),
    520: ("GDR", "MVOT", "VCL"),
    551: ("GDR", "SHLD", "VCL"),
    560: ("GDR", "INSC", "VCL"),
    574: ("GDR", "BKPY", "VCL"),
    580: ("GDR", "DELQ", "VCL"),
}
"""CIZ action, reason and status of each SIZ delisting code."""
