"""The deployed service, tested from outside: its template on MiniStack, with roles enforced.

Every call of the functions goes through one proxy (`proxy.py`), which counts calls, fails
them, loses their replies, or holds them until a test lets them go on.
"""
