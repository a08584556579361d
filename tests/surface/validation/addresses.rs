//! Addresses of databases: whatever they are, they are taken or refused, and no refusal shows a
//! password.

use proptest::prelude::*;

use crate::validation::drive;
use crate::validation::values::unsaved;

/// Of clients that people copy addresses from. Each is refused before a connection or a file is
/// made.
#[test]
fn addresses_of_other_clients_are_refused_with_the_remedy() {
    for (of_postgres, text, remedy) in REFUSED {
        let (kind, is_built_in) = if *of_postgres {
            ("Postgres", cfg!(feature = "postgres"))
        } else {
            ("SQLite", cfg!(feature = "sqlite"))
        };
        if !is_built_in {
            continue;
        }
        let reported = drive::address(text);
        let refusal = reported
            .iter()
            .find(|text| text.starts_with(&format!("{kind} cannot")));

        let refusal = refusal.unwrap_or_else(|| panic!("{text:?} is taken: {reported:?}"));
        assert!(refusal.contains(remedy), "{text:?}: {refusal}");
        assert!(!refusal.contains("hunter2"), "{text:?}: {refusal}");
    }
}

#[test]
fn addresses_that_the_driver_knows_are_taken() {
    for text in TAKEN {
        let reported = drive::address(text);

        let taken = reported
            .iter()
            .all(|text| !text.contains("Postgres cannot"));
        assert!(taken, "{text:?}: {reported:?}");
    }
}

proptest! {
    #![proptest_config(unsaved(256))]

    #[test]
    fn no_address_panics(
        text in prop_oneof![
            any::<String>(),
            "(postgres|postgresql|sqlite|file|[a-z:]{0,6})(://|:|)[a-z%0-9@:/?&=.\\[\\], ]{0,40}",
            "((host|port|user|password|dbname|sslmode|options|hostaddr) ?= ?'?[a-z0-9\\\\ ]{0,6}'? ?){0,5}",
        ],
    ) {
        drive::address(&text);
    }

    /// Escaped as it should be, and as it should not.
    #[test]
    fn no_error_shows_a_password(password in "[!-~]{6,20}", form in prop::sample::select(FORMS)) {
        let text = form.replace("{}", &password);
        // A text that is in the address anyway proves nothing.
        prop_assume!(!form.contains(&password));

        for reported in drive::address(&text) {
            prop_assert!(!reported.contains(&password), "{} of {}", reported, text);
        }
    }
}

const FORMS: &[&str] = &[
    "postgres://app:{}@localhost/app",
    "postgres://app:{}@localhost:5432/app?sslmode=require",
    "postgres://app:{}@localhost:99999/app",
    "postgres://app:{}@/app",
    "postgres://localhost/app?user=app&password={}",
    "postgres://localhost/app?pasword={}",
    "postgres://app@localhost/app?schema={}&connection_limit=1",
    "postgres://app:a?{}=x@localhost/app",
    "jdbc:postgresql://localhost/app?user=app&password={}",
    "jdbc:sqlite:app.db?password={}",
    "host=localhost password='{}' sslrootcert=ca.pem",
    "postgres:app:{}@localhost/app",
    "mysql://app:{}@localhost/app",
    "app:{}@localhost/app",
    "app:{}@localhost://app",
    "host=localhost user=app password={}",
    "host=localhost user=app password='{}' sslmode=wrong",
    "sqlite://app:{}@localhost/app.db",
    "sqlite://app.db?password={}",
];

const TAKEN: &[&str] = &[
    "postgresql://app:p@[::1]:5432/app",
    "postgres://app:hun#ter/2@localhost/app",
    "postgres://app:hun%40ter%232@one:5432,two:5433/app?target_session_attrs=read-write",
    "postgres:///app?host=/var/run/postgresql",
    "postgres://app@%2Fvar%2Frun%2Fpostgresql/app?options=-csearch_path%3Dshop",
    "postgres://app:p@localhost/app?application_name=me@here&sslmode=prefer&channel_binding=prefer",
    "user='a;b=c' host=localhost password='it\\'s'",
];

/// Whether Postgres is meant, the address, and a part of the refusal.
const REFUSED: &[(bool, &str, &str)] = &[
    (true, "postgres://app:hunter2@prod@db/app", "as `%40`"),
    (true, "postgres://app:p@ss/hunter2@db/app", "as `%40`"),
    (
        true,
        "postgres+asyncpg://app:hunter2@db/app",
        "of another client",
    ),
    (
        true,
        "postgresql+psycopg2://app:hunter2@db/app",
        "of another client",
    ),
    (
        true,
        "jdbc:postgresql://db/app?password=hunter2",
        "of another client",
    ),
    (
        true,
        "r2dbc:postgresql://app:hunter2@db/app",
        "of another client",
    ),
    (
        true,
        "Host=db;Username=app;Password=hunter2",
        "of another client",
    ),
    (
        true,
        "Username=app;Password=hunter2;Host=db",
        "of another client",
    ),
    (
        true,
        "User ID=app;Password=hunter2;Host=db;",
        "of another client",
    ),
    (true, "Data Source=db;Password=hunter2", "of another client"),
    (true, "POSTGRES://app:hunter2@db/app", "in capitals"),
    (true, "\"postgres://app:hunter2@db/app\"", "in quotes"),
    (true, "postgres://app:hunter2@db/app\n", "white space"),
    (true, "mysql://app:hunter2@db/app", "another kind"),
    (true, "sqlite:///app.db", "another kind"),
    (true, "DATABASE_URL=postgres://app:hunter2@db/app", "no URL"),
    (true, "", "is empty"),
    (true, "postgres:///app", "host is missing"),
    (true, "hostname=db user=app", "`hostname` (write `host`)"),
    (true, "postgres://app:hunter2@db:99999/app", "`port`"),
    (true, "postgres://app:hunter2@[::1/app", "`host`"),
    (
        true,
        "postgres://app:hunter2@db/app?hostaddr=db",
        "`hostaddr`",
    ),
    (
        true,
        "postgres://app:hunter2@db/app?connect_timeout=5s",
        "`connect_timeout`",
    ),
    (
        true,
        "postgres://app:hunter2@db/app?sslmode=require",
        "with_pool",
    ),
    (
        true,
        "postgres://app:hunter2@db/app?sslmode=verify-full",
        "with_pool",
    ),
    (
        true,
        "postgres://app:hunter2@db/app?channel_binding=require",
        "with_pool",
    ),
    (
        true,
        "postgres://app:hunter2@db/app?sslnegotiation=direct",
        "with_pool",
    ),
    (
        true,
        "postgres://app:hunter2@db/app?target_session_attrs=primary",
        "give `any`, `read-write`",
    ),
    (false, "file:app.db?mode=rwc", "behind `?`"),
    (false, "file:app.db", "another kind"),
    (false, "FILE:app.db", "another kind"),
    (false, "sqlite3:app.db", "another kind"),
    (false, "Sqlite:app.db", "another kind"),
    (false, "SQLITE:///app.db", "another kind"),
    (false, "sqlite+aiosqlite:///app.db", "another kind"),
    (false, "jdbc:sqlite:app.db", "another kind"),
    (false, "Data Source=app.db", "another kind"),
    (false, "Data Source=app.db;Password=hunter2", "another kind"),
    (false, "/app.db;Password=hunter2", "another kind"),
    (false, "postgres://app:hunter2@db/app", "another kind"),
    (false, "sqlite:app.db?cache=shared", "behind `?`"),
    (false, "app.db?mode=ro", "behind `?`"),
    (false, "sqlite:///my%20app.db", "path alone"),
    (false, "sqlite:///app.db#main", "path alone"),
    (false, "sqlite::memory:", "in memory"),
    (false, "\"app.db\"", "in quotes"),
    (false, "app.db\n", "white space"),
    (false, " ", "is empty"),
    (false, "sqlite:", "is empty"),
    (false, "/no-such-folder/app.db", "does not exist"),
    (false, "app.db/", "file in it"),
];
