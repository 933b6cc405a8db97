"""Small files in the vendors' published layouts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import date
from xml.sax.saxutils import escape

import polars as pl

from pipeline.extracts.index_constituents import INDEX_CONSTITUENTS

FACTORS_3 = """This file was created by CMPT_ME_BEME_RETS using the 202011 CRSP database.\r
The 1-month TBill return is from Ibbotson and Associates, Inc.\r
\r
,Mkt-RF,SMB,HML,RF\r
200806,   -8.44,    1.16,   -2.55,    0.17\r
200807,   -0.77,    2.45,    5.36,    0.15\r
200808,    1.53,    3.70,  -99.99,    0.13\r
\r
 Annual Factors: January-December \r
,Mkt-RF,SMB,HML,RF\r
  2007,    1.04,   -7.40,  -17.00,    4.66\r
  2008,  -38.34,    2.40,    1.00,    1.60\r
\r
Copyright 2020 Kenneth R. French\r
"""
FACTORS_5 = """,Mkt-RF,SMB,HML,RMW,CMA,RF
200806,   -8.44,    0.72,   -2.68,    3.01,    1.83,    0.17
200807,   -0.77,    2.98,    5.36,   -0.90,   -2.97,    0.15
"""
MOMENTUM = """Missing data are indicated by -99.99 or -999.

,Mom\x20\x20
200806,  12.70
200807,   -999

Annual Factors:
January-December\x20
,Mom
  2008,  13.00
"""
DAILY = """Date,Mkt-RF,SMB,HML,RF
2008/06/02,-1.0,0.1,0.2,0.008
2008/06/03,-0.5,0.2,0.1,0.008
2008/06/04,0.1,0.3,-0.1,0.008
2008/07/01,0.2,0.3,-0.2,0.007
"""
PORTFOLIOS = """  Average Value Weighted Returns -- Monthly
,NoDur,Durbl,Hlth
200806,  1.00,  2.00, -99.99
200807,  3.00,  4.00,  5.00


  Average Equal Weighted Returns -- Monthly
,NoDur,Durbl,Hlth
200806,  9.00,  9.00,  9.00
200807,  9.00,  9.00,  9.00

  Average Value Weighted Returns -- Annual
,NoDur,Durbl,Hlth
  2008,  7.00,  7.00,  7.00
"""
Q_FACTORS = """year,month,R_F,R_MKT,R_ME,R_IA,R_ROE,R_EG
2008,6,0.1700,-8.4400,1.1000,-2.0000,3.0000,1.5000
2008,10,0.0800,-17.2300,-2.0000,1.0000,2.0000,2.5000
"""
LIQUIDITY = (
    "% LIQUIDITY FACTORS\n% Column 1: Month\n%\n% Month\tAgg Liq.\tInnov Liq (eq8)\tTraded Liq (LIQ_V)\n"
    "200806\t -0.10\t  0.02\t-99\n200807\t -0.20\t -0.03\t  0.01\t\n"
)
INTERMEDIARY = """yyyymm,intermediary_capital_ratio,intermediary_capital_risk_factor,\
intermediary_value_weighted_investment_return,intermediary_leverage_ratio_squared
200806,0.0691,-0.0727,-0.096,209.179
"""
PREDICTORS_HEADER = "yyyymm,Index,D12,E12,b/m,tbl,AAA,BAA,lty,ntis,Rfree,infl,svar,user_column"
PREDICTORS = (
    PREDICTORS_HEADER
    + '\n200806,"1,280.00",28.5,51.0,0.35,0.0186,0.0568,0.0707,0.046,-0.01,0.0015,NaN,0.0022,x\n'
    + "200807,1267.38,28.6,49.0,0.34,0.0163,0.0567,0.0716,0.045,-0.02,0.0014,0.005,0.0041,y\n"
)
YFINANCE = """Price,Adj Close,Close,High,Low,Open,Volume
Ticker,LQD,LQD,LQD,LQD,LQD,LQD
Date,,,,,,
2008-06-27,60.5,100.5,101.0,100.0,100.2,21200.0
2008-06-30,60.6,100.6,101.1,100.1,100.3,21300.0
2008-07-01,60.7,100.7,101.2,100.2,100.4,21400.0
"""
CBOE = """DATE,OPEN,HIGH,LOW,CLOSE
06/30/2008,23.900000,24.300000,23.000000,23.950000
07/01/2008,24.000000,25.000000,23.500000,23.650000
"""
FRED = """observation_date,DGS10
2008-06-27,3.99
2008-06-30,3.99
2008-07-01,4.01
2008-07-02,.
2008-07-03,
"""
FRED_MD = """sasdate,RPI,S&P 500,HOUST
Transform:,5,5,4
5/1/2008,12000.5,1403.2,982
6/1/2008,,1341.3,1089
,,,
,,,
"""
ANOMALIES = """date,Accruals,BM
2008-06-30,NA,-166.06
2008-07-31,1.5,2.5
"""


def zero_yields(first: str = "2008-06-27", second: str = "2008-06-30", years: int = 11) -> str:
    """The layout of Gurkaynak, Sack and Wright with notes above and an unused column."""
    names = ",".join(f"SVENY{year:02d}" for year in range(1, years + 1))
    rows = "\n".join(
        f"{day},{','.join(str(start + year / 10) for year in range(years))},7.7"
        for day, start in ((first, 2.0), (second, 3.0))
    )
    return f"Note: continuously compounded\n\nDate,{names},BETA0\n{rows}\n2008-07-01,{',' * years}\n"


SAMPLES: dict[str, str] = {
    "french/F-F_Research_Data_Factors.CSV": FACTORS_3,
    "french/F-F_Research_Data_5_Factors_2x3.csv": FACTORS_5,
    "french/F-F_Momentum_Factor.CSV": MOMENTUM,
    "french/F-F_Research_Data_Factors_daily.csv": DAILY,
    "french/10_Industry_Portfolios.csv": PORTFOLIOS,
    "factors/q5.csv": Q_FACTORS,
    "factors/liq_data.txt": LIQUIDITY,
    "factors/hkm.csv": INTERMEDIARY,
    "factors/devil.csv": "DATE,AUS,USA\n06/30/2008,0.1,-0.0123\n07/31/2008,,0.0456\n",
    "goyal_welch/PredictorData2022.csv": PREDICTORS,
    "prices/LQD.csv": YFINANCE,
    "prices/VIX.csv": CBOE,
    "fred/DGS10.csv": FRED,
    "fred_md/2008-07.csv": FRED_MD,
    "treasury/zero_yields.csv": zero_yields(),
    "anomalies/ls.csv": ANOMALIES,
}


def index_rows(months: Sequence[date], bonds: int = 6) -> pl.DataFrame:
    """Index constituents under the vendor's names, every cell a function of bond and month."""
    rows = []
    for t, month in enumerate(months):
        for b in range(bonds):
            row = {column.name: float(100 * b + t) + 0.25 for column in INDEX_CONSTITUENTS.columns}
            row |= {column.name: f"{column.name} {b}" for column in INDEX_CONSTITUENTS.columns if column.kind == "text"}
            row |= {"Pricing_Date": month, "Maturity": date(2031, 4, 15), "Stock_Price_Date": month}
            row |= {"ISIN": f"US00184AA{b:02d}0", "Return": b - t / 10, "Ignored": 1.0}
            rows.append(row)
    return pl.DataFrame(rows)


MONTHS = [date(2008, 7, 1), date(2008, 8, 1), date(2008, 9, 1)]


def workbook(sheets: dict[str, list[list[str]]]) -> bytes:
    """A minimal Office Open XML workbook of text cells."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        kinds = "".join(
            f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="application/vnd.openxmlformats-'
            'officedocument.spreadsheetml.worksheet+xml"/>'
            for i in range(1, len(sheets) + 1)
        )
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.'
            'openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
            '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
            f'spreadsheetml.sheet.main+xml"/>{kinds}</Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        entries = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1))
        book.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{entries}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            for i in range(1, len(sheets) + 1)
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">{links}</Relationships>'
        )
        for i, rows in enumerate(sheets.values(), 1):
            cells = "".join(
                "<row>" + "".join(f'<c t="inlineStr"><is><t>{escape(c)}</t></is></c>' for c in row) + "</row>"
                for row in rows
            )
            book.writestr(
                f"xl/worksheets/sheet{i}.xml", f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
            )
    return out.getvalue()
