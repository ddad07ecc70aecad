"""An index of the entries that change principals: which roles somebody had when"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAME = "ix_entries_principal_change"
OF_KIND = sa.text("kind = 'principal.change'")


def upgrade() -> None:
    op.create_index(
        NAME,
        "entries",
        ["tenant_id", "at"],
        unique=False,
        postgresql_where=OF_KIND,
        sqlite_where=OF_KIND,
    )


def downgrade() -> None:
    op.drop_index(NAME, table_name="entries")
