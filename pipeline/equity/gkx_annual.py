"""The annual entries of set ``gkx94``: characteristics of Green, Hand and Zhang (2017) on annual records.

All of them read the newest fiscal year that ended at least six and at most eighteen months before the end of m, as Gu,
Kelly and Xiu (2020) use them; ``x_k`` is the item of k fiscal years before, so that the authors' rules for a firm's
first years follow from years that are not on record. Where their program and the paper's table of definitions differ,
the program holds, unless it contradicts the definition by a slip; such entries say so. Belongs here: the tuple. Does
not: the entries, which stand in ``gkx_ratios``, ``gkx_changes``, ``gkx_health`` and ``gkx_industry``.
"""

from __future__ import annotations

from pipeline.equity.definition import FirmCharacteristic
from pipeline.equity.gkx_changes import CHANGES
from pipeline.equity.gkx_health import HEALTH
from pipeline.equity.gkx_industry import INDUSTRY
from pipeline.equity.gkx_ratios import RATIOS

GKX_ANNUAL: tuple[FirmCharacteristic, ...] = (*RATIOS, *CHANGES, *HEALTH, *INDUSTRY)
