//! The triggers that note activity.

use crate::store::migrations::ACTIVITY_TRIGGER;

/// Returns whether a trigger, a row of `pg_trigger`, notes every row that is inserted, as far as
/// the catalogue says so. Ours must be as the migration made it.
pub(super) fn notes(of: &str) -> String {
    format!(
        "({of}.tgenabled IN ('O', 'A') AND ({of}.tgtype & 4) <> 0 AND (({of}.tgtype & 1) <> 0 OR {of}.tgnewtable IS NOT NULL) \
         AND pg_get_triggerdef({of}.oid) !~ 'WHEN [(]+false[)]' AND ({of}.tgname <> '{ACTIVITY_TRIGGER}' OR \
         ({of}.tgqual IS NULL OR pg_get_triggerdef({of}.oid) ~ 'WHEN [(]+new.sender[)]?(::text)? = ''user''::[^ ]+[)] EXECUTE') \
         AND ({of}.tgtype & 1) <> 0 AND EXISTS (SELECT FROM pg_proc AS hk_f WHERE hk_f.oid = {of}.tgfoid \
         AND md5(regexp_replace(hk_f.prosrc, '[[:space:]]', '', 'g')) = '{NOTING}')))"
    )
}

/// The sum of the function's body in the migration, without spaces.
const NOTING: &str = "dce5cb346a1f221fab98a0a61ddcbd0b";
