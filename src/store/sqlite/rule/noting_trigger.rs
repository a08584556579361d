//! The triggers that note activity.

use crate::store::migrations::{ACTIVITY_TRIGGER, Schema};
use crate::store::rule::Dialect;
use crate::store::sqlite::tables::migrations;

/// Returns whether a trigger, a row of `sqlite_master`, is one on inserts. Ours must be as the
/// migration made it.
pub(super) fn notes(of: &str) -> String {
    let made = migrations(Schema::Booking)[0].up;
    let made = made
        .split_once("create trigger")
        .map_or("", |(_, made)| made);
    let bare: String = made.to_lowercase().split_whitespace().collect();
    let bare = format!("createtrigger{}", bare.trim_end_matches(';'));
    let sql = ["char(10)", "char(13)", "char(9)", "' '", "'\"'"]
        .iter()
        .fold(format!("lower({of}.sql)"), |sql, space| {
            format!("replace({sql}, {space}, '')")
        });
    format!(
        "(instr({sql}, 'inserton') > 0 AND (lower({of}.name) <> '{ACTIVITY_TRIGGER}' OR {sql} = {}))",
        Dialect::Sqlite.text(&bare)
    )
}
