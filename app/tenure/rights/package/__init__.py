"""Access packages (GDPR Art. 15 and 20): gather → shape → zip → seal → hand out → erase.

`service.py` is where to begin; docs/access-package.md says what a person gets and what not.
"""
