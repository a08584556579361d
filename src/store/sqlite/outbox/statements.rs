//! The statements of the outbox.

pub(super) const PULL: &str = "
    update housekeeper_outbox set due_at = ?2 where rule = ?1 and parked_at is null and due_at > ?3 and (leased_by is null or due_at > ?4)";

macro_rules! claim {
    ($condition:literal) => {
        concat!(
            "update housekeeper_outbox set due_at = ?4, leased_by = ?5, attempts = attempts + (leased_by is not null), \
             last_error = iif(leased_by is null, last_error, 'the lease ran out') \
             where id in (select o.id from housekeeper_outbox as o where o.rule = ?1 and o.parked_at is null and o.due_at <= ?2 ",
            $condition,
            " order by o.due_at, o.id limit ?3) \
             returning id, cast(topic as blob) as topic, cast(key as blob) as key, at, cast(payload as blob) as payload, attempts, parked_at, last_error"
        )
    };
}

pub(super) const CLAIM: &str = claim!("");

pub(super) const CLAIM_IN_ORDER_OF_KEY: &str = claim!(
    "and not exists (select 1 from housekeeper_outbox as e where e.rule = o.rule and e.key = o.key and e.id < o.id and e.parked_at is null)"
);

pub(super) const REFUSE: &str = "
    update housekeeper_outbox set attempts = ?2, last_error = coalesce(?3, last_error), leased_by = null, due_at = ?4, parked_at = ?5
    where id = ?1 and leased_by = ?6 and parked_at is null";

// With statistics of a table whose entries are almost all parked, SQLite would walk the whole table
// for parked entries, and does so when they are few again.
pub(super) const COUNTS: &str = "
    select count(*) as waiting, coalesce(sum(attempts > 0), 0) as failing, min(at) as oldest,
        (select count(*) from (select 1 from housekeeper_outbox indexed by housekeeper_outbox_parked where rule = ?1 and parked_at is not null limit ?2)) as parked
    from (select attempts, at from housekeeper_outbox where rule = ?1 and parked_at is null order by due_at, id limit ?2)";

pub(super) const PARKED: &str = "
    select id, cast(topic as blob) as topic, cast(key as blob) as key, at, cast(payload as blob) as payload, attempts, parked_at, last_error
    from housekeeper_outbox indexed by housekeeper_outbox_parked
    where rule = ?1 and parked_at is not null and id > ?2 order by id limit ?3";

pub(super) const REDELIVER: &str = "
    update housekeeper_outbox set parked_at = null, attempts = 0, leased_by = null, due_at = ?2
    where id in (select id from housekeeper_outbox indexed by housekeeper_outbox_parked where rule = ?1 and parked_at is not null
        and (?3 is null or id in (select value from json_each(?3))) order by id limit ?4)";

pub(super) const DISCARD: &str = "
    delete from housekeeper_outbox where ?2 is not null
        and id in (select id from housekeeper_outbox indexed by housekeeper_outbox_parked where rule = ?1 and parked_at is not null
        and (?3 is null or id in (select value from json_each(?3))) order by id limit ?4)";
