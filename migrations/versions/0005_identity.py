"""Identity: keys that end and are narrower, principals that are switched off, issuers of access tokens"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
TABLES = ("identities", "issuer_claims", "issuers")


def upgrade() -> None:
    op.add_column("principals", sa.Column("disabled_at", sa.BigInteger(), nullable=True))
    op.add_column("credentials", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    op.add_column("credentials", sa.Column("reach", sa.Text(), nullable=True))
    op.create_table(
        "issuers",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", TOKEN, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_issuers")),
    )
    op.create_index("ix_issuers_name", "issuers", ["tenant_id", "name"], unique=True)
    op.create_table(
        "identities",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("subject_index", TOKEN, nullable=False),
        sa.Column("principal_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject_index", name=op.f("pk_identities")),
    )
    op.create_table(
        "issuer_claims",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("claim", TOKEN, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("issuer_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "claim", name=op.f("pk_issuer_claims")),
    )
    op.create_index("ix_issuer_claims_id", "issuer_claims", ["tenant_id", "id"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} "
            "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    op.drop_column("credentials", "reach")
    op.drop_column("credentials", "expires_at")
    op.drop_column("principals", "disabled_at")
