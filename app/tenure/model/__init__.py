"""Pure values and rules: what tenants declare and what records, principals and decisions are."""
