"""Pure policy: Casbin decides, we explain and bundle. Values in, verdicts out."""
