"""Names that stand in the template and in the sample events."""

from __future__ import annotations

# Binary by the function's logical id in the template.
FUNCTIONS = {"PutFunction": "put", "ReadFunction": "read", "ApplyFunction": "apply"}
PARK = "park"
FUNCTIONS |= {f"{PARK.capitalize()}Function": PARK}
# The outputs with the functions' names.
FUNCTION_OUTPUTS = [f"{binary.upper()}_FUNCTION" for binary in FUNCTIONS.values()]
# The variable that says which clock gives a PUT its time.
ARRIVAL_CLOCK, GATEWAY, HOST = "ARRIVAL_CLOCK", "gateway", "host"
