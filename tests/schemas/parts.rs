//! Two parts of a table have rows at one address, which only together with the part is a row's own.

use std::collections::BTreeSet;

use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::rule::{Rule, at, eq, related};
use ractor_housekeeper::{Job, Scope};

use crate::demands::{Host, noon};

/// Tables of two parts, of which the second has the rows of the second owner.
const TABLES: [&str; 2] = [
    "create table notes (id int, owner int, state text not null default 'open', at timestamptz not null, primary key (id, owner)) partition by list (owner);
     create table notes_1 partition of notes for values in (1); create table second partition of notes for values in (2);",
    "create table notes (id int, owner int, state text not null default 'open', at timestamptz not null, primary key (id, owner));
     create table second () inherits (notes);",
];

const ROWS: &str = "create table paid (note int, owner int);
    insert into notes (id, owner, at) values (1, 1, '2026-01-01Z'), (3, 1, '2026-01-01Z');
    insert into second (id, owner, at) values (2, 2, '2026-01-01Z'), (4, 2, '2026-01-01Z');";

/// Has one row refused, so that the batch goes row by row.
const REFUSED: &str = "create function refuse() returns trigger language plpgsql as $$ begin
        if old.id = 3 then raise exception 'no'; end if; if tg_op = 'DELETE' then return old; end if; return new; end $$;
    create trigger refuse before update or delete on notes for each row execute function refuse();";

fn rules() -> [Rule; 3] {
    let notes = || Rule::new("notes", "notes").due(at("at")).scope("owner");
    let unpaid = related("paid", ["note", "owner"]);
    [
        notes().delete(),
        notes().only(eq("state", "open")).set("state", "gone"),
        notes().unless(unpaid).may_race().delete(),
    ]
}

/// A run of one owner's rows leaves those of the other alone, which are due as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_at_the_same_address_in_another_part_stays() {
    for (table, refused) in TABLES.into_iter().flat_map(|it| [(it, ""), (it, REFUSED)]) {
        for rule in rules() {
            let Some(host) = Host::new(&format!("{table}{ROWS}{refused}")).await else {
                return;
            };
            let addresses = "select count(*) = 4 and count(distinct ctid) = 2 from notes";
            assert!(host.holds(addresses).await, "no two rows share an address");
            let job = host.store.rule(rule.clone()).expect("a job");
            let request = BatchRequest {
                scope: Scope::user(1),
                now: noon(),
                cutoff: noon(),
                limit: 10.try_into().expect("is not zero"),
                after: None,
            };

            let batch = job.batch(&request).await.expect("a batch");

            let mut own = BTreeSet::from(["[1, 1]".to_owned(), "[3, 1]".to_owned()]);
            if !refused.is_empty() {
                own.remove("[3, 1]");
            }
            assert_eq!(batch.ids.into_iter().collect::<BTreeSet<_>>(), own);
            let others = "select count(*) = 2 from second where state = 'open'";
            assert!(host.holds(others).await, "{table} {refused} {rule:?}");
        }
    }
}
