-- PostgreSQL for Tenure (15 or newer): two roles and one database. Run once, as a superuser:
--
--   psql -v ON_ERROR_STOP=1 -v database=tenure \
--        -v owner=tenure_owner -v owner_password=… -v app=tenure_app -v app_password=… \
--        -f deploy/postgres.sql
--
-- and for `tenure backup` and `tenure drill` also -v backup=tenure_backup -v backup_password=…
--
-- The owner migrates (`TENURE_MIGRATION_URL`, for `tenure init` only). The service connects as the other
-- role (`TENURE_DATABASE_URL`): it owns nothing, so it can neither change a table nor switch row-level
-- security off. `tenure init` gives it its rights on rows. Running this again changes nothing.
--
-- The third role (`TENURE_BACKUP_URL`) reads every tenant's rows: row-level security is forced on the owner
-- too, so that nobody else could dump them. What it reads is sealed. It may make databases, for a drill's
-- scratch database; it writes nothing in this one.

SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'owner', :'owner_password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner')
\gexec
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'app', :'app_password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'app')
\gexec

-- A superuser, or a role with BYPASSRLS, is above row-level security: neither role may be one.
SELECT format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', rolname)
FROM pg_roles
WHERE rolname IN (:'owner', :'app')
\gexec

SELECT format('CREATE DATABASE %I OWNER %I ENCODING %L TEMPLATE template0', :'database', :'owner', 'UTF8')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'database')
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', :'database', :'app')
\gexec

\connect :database

REVOKE ALL ON SCHEMA public FROM PUBLIC;
SELECT format('GRANT USAGE, CREATE ON SCHEMA public TO %I', :'owner')
\gexec
SELECT format('GRANT USAGE ON SCHEMA public TO %I', :'app')
\gexec

\if :{?backup}
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'backup', :'backup_password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'backup')
\gexec
SELECT format('ALTER ROLE %I NOSUPERUSER CREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS', :'backup')
\gexec
SELECT format('GRANT pg_read_all_data TO %I', :'backup')
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', :'database', :'backup')
\gexec
\endif
