"""Access tokens of others: read strictly, verified with their issuer's published keys, mapped (ADR 23)."""
