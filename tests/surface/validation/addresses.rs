//! Addresses of databases: whatever they are, they are taken or refused, and no refusal shows a
//! password.

use proptest::prelude::*;

use crate::validation::drive;
use crate::validation::values::unsaved;

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
