"""The deployed service, tested from outside: its template on MiniStack, with roles enforced."""
