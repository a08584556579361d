//! Two parts of a table have rows at one address, which only together with the part is a row's own.

use std::collections::BTreeSet;

use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::rule::{Rule, at, eq, related};
use ractor_housekeeper::{Job, Scope};

use crate::demands::{Host, noon, run};
use crate::rules::set;

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

/// Has the rows of the second part set back, before or after they are written.
const SET_BACK: [&str; 2] = [
    "create function back() returns trigger language plpgsql as $$ begin new.state := old.state; return new; end $$;
     create trigger back before update on second for each row execute function back();",
    "create function back() returns trigger language plpgsql as $$ begin
        if new.state <> 'open' then update notes set state = 'open' where id = new.id; end if; return null; end $$;
     create trigger back after update on second for each row execute function back();",
];

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

            let own = ["[1, 1]", "[3, 1]"].into_iter();
            let own = own.filter(|id| refused.is_empty() || *id == "[1, 1]");
            assert_eq!(batch.ids.into_iter().collect::<BTreeSet<_>>(), set(own));
            let others = "select count(*) = 2 from second where state = 'open'";
            assert!(host.holds(others).await, "{table} {refused} {rule:?}");
        }
    }
}

/// A trigger of a part is none of the whole table's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_a_trigger_of_its_part_sets_back_is_withheld() {
    for (table, trigger) in TABLES
        .into_iter()
        .flat_map(|it| SET_BACK.map(|trigger| (it, trigger)))
    {
        let Some(host) = Host::new(&format!("{table}{ROWS}{trigger}")).await else {
            return;
        };
        let [_, rule, _] = rules();
        let job = host.store.rule(rule).expect("a job");

        let (handled, rejected) = run(&job, 10).await;

        assert_eq!(handled, set(["[1, 1]", "[3, 1]"]), "{table} {trigger}");
        let said = "a trigger of the database withholds it".to_owned();
        let withheld = ["[2, 2]", "[4, 2]"].map(|id| (id.to_owned(), said.clone()));
        assert_eq!(rejected, withheld, "{table} {trigger}");
    }
}
