"""Query texts that may name a person, and must not be shown to others as hints or learned from."""

from __future__ import annotations

from functools import reduce
from operator import or_

import ibis.expr.types as ir

# Read by RE2 (DuckDB) and by Java (Spark), so: no look-around, and classes that mean the same in both. The texts are
# normalized, so in lower case.
_TOP_LEVEL = "com|org|net|info|biz|edu|gov|app|dev|io|me|co|de|fr|uk|eu|ru|cn|in|br"
PERSONAL = {
    "an e-mail address": r"[^\s@]@[^\s@]+[.][^\s@]",
    # Phone, card and account numbers: seven digits or more, grouped by whatever people group them by.
    "a long number": r"\p{Nd}([\s().+/_-]{0,3}\p{Nd}){6}",
    "an address in the web": rf"(https?:|www[.]|[a-z0-9-][.]({_TOP_LEVEL})(/|[?#]|\s|$))",
}


def may_be_personal(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a normalized query contains anything of `PERSONAL`."""
    return reduce(or_, (text.re_search(pattern) for pattern in PERSONAL.values()))
