"""Where the cell's root key lives: one module for each custody. `keys/rootstore.py` is the contract."""
