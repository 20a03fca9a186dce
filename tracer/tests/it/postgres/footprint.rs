//! What there is in a server: the same before a run and after it.

use xtask::testbed::postgres::Server;

/// Everything of which a visitor could leave some.
const ALL: &str = "select jsonb_pretty(jsonb_build_object(
  'schemas', (select jsonb_agg(nspname order by 1) from pg_namespace),
  'relations', (select count(*) from pg_class),
  'functions', (select count(*) from pg_proc),
  'roles', (select count(*) from pg_roles),
  'databases', (select count(*) from pg_database),
  'extensions', (select count(*) from pg_extension),
  'publications', (select count(*) from pg_publication),
  'slots', (select jsonb_agg(slot_name order by 1) from pg_replication_slots),
  'settings', (select count(*) from pg_db_role_setting),
  'prepared', (select count(*) from pg_prepared_xacts),
  'locks', (select jsonb_agg(mode order by 1) from pg_locks where pid <> pg_backend_pid()
    and pid in (select pid from pg_stat_activity where backend_type = 'client backend')),
  'backends', (select jsonb_agg(concat_ws(' ', pid, usename, application_name) order by pid)
    from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid())))";

/// Who is connected, and all that is there, as text.
pub(crate) fn of(server: &Server) -> String {
    server.value(ALL).unwrap().unwrap()
}
