//! Which codes of errors are about one row.

/// Whether an error of this code is about one row: its values, a constraint, what a trigger of the
/// host raised, or the time it takes.
///
/// All others would meet the next row as well, unless `others` of the batch were written. A class
/// that Postgres does not have is the host's own. `within` code of the host, a mistake of that code
/// may be met by one row alone: a name that it makes of the row's values, a query of several rows
/// where it expects one.
pub(super) fn concerns_row(state: &str, within: bool, others: bool) -> bool {
    let class = state.get(..2).unwrap_or("58");
    // A lock timeout, a deadlock, a statement timeout.
    matches!(state, "55P03" | "40P01" | "57014")
        || (within && !OF_SESSION.contains(&class))
        || !(OF_ALL_ROWS.contains(&class) || MISTAKES.contains(&class))
        || (others && !OF_SERVER.contains(&class))
}

/// Classes of errors that any row would meet.
pub(super) const OF_ALL_ROWS: &[&str] = &[
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "25", "26", "27", "28",
    "2B", "2D", "34", "3B", "3D", "40", "53", "55", "57", "58", "72", "F0", "HV", "XX",
];

/// Classes of errors of a session, wherever they are raised: a stale plan, a transaction that only
/// reads.
const OF_SESSION: &[&str] = &["0A", "25", "26", "40", "53", "57", "58"];

/// Classes of errors of the server or of its machine.
pub(super) const OF_SERVER: &[&str] = &["53", "57", "58"];

/// Classes of mistakes in code.
pub(super) const MISTAKES: &[&str] = &["20", "21", "24", "2F", "38", "39", "3F", "42", "54"];

#[cfg(test)]
mod tests {
    use super::super::row_by_row::{AS_BEFORE, SKIPPED};
    use super::*;

    #[test]
    fn codes_tell_a_fault_of_the_row_from_one_of_the_session() {
        let row = [
            "23503", "22003", "P0001", "44000", "BK001", "55P03", "57014", "40P01", SKIPPED,
            AS_BEFORE,
        ];
        // These are the row's within the host's code.
        let mistake = [
            "42501", "42P01", "54001", "21000", "3F000", "55000", "HV00L", "08001", "XX001",
            "0P000",
        ];
        // These only if others were written.
        let session = ["26000", "0A000", "40001", "25006"];
        let server = ["57P01", "53100", "58030", ""];
        let cases = [(false, false), (true, false), (false, true), (true, true)];
        let judged = |state| cases.map(|(within, others)| concerns_row(state, within, others));

        assert_eq!(row.map(judged), row.map(|_| [true; 4]));
        assert_eq!(
            mistake.map(judged),
            mistake.map(|_| [false, true, true, true])
        );
        assert_eq!(
            session.map(judged),
            session.map(|_| [false, false, true, true])
        );
        assert_eq!(server.map(judged), server.map(|_| [false; 4]));
    }
}
