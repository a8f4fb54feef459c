-- The roles of the shop and what each may do at most; sql/grants.sql gives the
-- rights on tables. Run once in each database, by an administrator, before the
-- first migration; running it again changes nothing.
--
-- The administrator is a superuser, or owns this database and has CREATEROLE
-- (and, where the roles exist already, ADMIN OPTION on them).
--
--   store_owner     owns the schema; nobody logs in as it
--   store_migrator  logs in for `store migrate`, and then acts as store_owner
--   store_app       what the application logs in as: rows, never structure
--   store_readonly  reports: everything but password hashes and the secrets of guests
--
-- Passwords are not set here: ALTER ROLE store_app PASSWORD ... or \password.

BEGIN;

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['store_owner', 'store_migrator', 'store_app', 'store_readonly'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I', role_name);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE store_owner NOLOGIN;
ALTER ROLE store_migrator LOGIN CONNECTION LIMIT 8;
ALTER ROLE store_app LOGIN;
ALTER ROLE store_readonly LOGIN;

-- What a migration creates belongs to the owner, not to whoever ran it.
GRANT store_owner TO store_migrator;
ALTER ROLE store_migrator SET role = 'store_owner';
ALTER ROLE store_migrator SET lock_timeout = '2s';
ALTER ROLE store_migrator SET statement_timeout = 0;

-- pg_temp last: a temporary table cannot stand in for one of ours.
ALTER ROLE store_app SET search_path = store, pg_temp;
ALTER ROLE store_app SET statement_timeout = '5s';
-- Longer than deadlock_timeout (1 s): of two that wait for each other one is ended, not both.
ALTER ROLE store_app SET lock_timeout = '2s';
ALTER ROLE store_app SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE store_app SET client_connection_check_interval = '5s';
ALTER ROLE store_app SET default_transaction_isolation = 'read committed';
-- With parallel plans in reach, a parameter in LIMIT never gets a generic plan.
ALTER ROLE store_app SET max_parallel_workers_per_gather = 0;

ALTER ROLE store_readonly SET search_path = store, pg_temp;
ALTER ROLE store_readonly SET statement_timeout = '60s';
ALTER ROLE store_readonly SET default_transaction_read_only = on;

DO $$
BEGIN
    -- PostgreSQL 16 does not know transaction_timeout.
    IF current_setting('server_version_num')::integer >= 170000 THEN
        ALTER ROLE store_app SET transaction_timeout = '15s';
    END IF;

    -- Only who owns the database decides who comes in, and who may create a schema.
    EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO store_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO store_migrator, store_app, store_readonly', current_database());

    -- A CREATEROLE administrator made store_owner, but is not yet one with it.
    IF NOT pg_has_role('store_owner', 'USAGE') THEN
        GRANT store_owner TO CURRENT_USER WITH INHERIT TRUE, SET TRUE;
    END IF;
END
$$;

-- PostgreSQL lets everybody execute a new function, SECURITY DEFINER or not.
ALTER DEFAULT PRIVILEGES FOR ROLE store_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

COMMIT;
