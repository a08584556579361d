//! The statements of the outbox.

macro_rules! claim {
    ($condition:literal) => {
        concat!(
            "with picked as materialized (select o.id from housekeeper_outbox o \
             where o.rule = $1 and o.parked_at is null and o.due_at <= (select coalesce($2, clock_timestamp())) ",
            $condition,
            " order by o.due_at, o.id limit $3 for update skip locked) \
             update housekeeper_outbox o set due_at = coalesce($2, clock_timestamp()) + $4 * interval '1 microsecond', leased_by = $5, \
             attempts = o.attempts + (o.leased_by is not null)::int, \
             last_error = case when o.leased_by is null then o.last_error else 'the lease ran out' end \
             where o.id = any (array(select id from picked)) \
             returning o.id, o.topic, o.key, greatest(least(o.at, '9999-12-31Z'), '0001-01-01Z') as at, o.payload::text as payload, \
             o.attempts, o.parked_at, o.last_error"
        )
    };
}

pub(super) const CLAIM: &str = claim!("");

pub(super) const CLAIM_IN_ORDER_OF_KEY: &str = claim!(
    "and not exists (select from housekeeper_outbox e where e.rule = o.rule and e.key = o.key and e.id < o.id and e.parked_at is null)"
);

macro_rules! due {
    ($order:literal) => {
        concat!(
            "(extract(epoch from (select due_at from housekeeper_outbox where rule = $1 and parked_at is null \
             and due_at > (select coalesce($2, clock_timestamp())) and due_at < '9999-12-31Z' order by due_at ",
            $order,
            " limit 1) - coalesce($2, clock_timestamp())) * 1000000)::bigint"
        )
    };
}

pub(super) const NEXT: &str = concat!("select ", due!(""), " as wait, ", due!("desc"), " as last");

pub(super) const PULL: &str = "
    update housekeeper_outbox set due_at = coalesce($2, clock_timestamp())
    where rule = $1 and parked_at is null and due_at < '9999-12-31Z'
        and due_at > coalesce($2, clock_timestamp()) + $3 * interval '1 microsecond'
        and (leased_by is null or due_at > coalesce($2, clock_timestamp()) + $4 * interval '1 microsecond')";

pub(super) const REFUSE: &str = "
    update housekeeper_outbox o set attempts = u.attempts, last_error = coalesce(u.error, o.last_error), leased_by = null,
        due_at = coalesce($6, clock_timestamp()) + coalesce(u.wait, 0) * interval '1 microsecond',
        parked_at = case when u.wait is null then coalesce($6, clock_timestamp()) end
    from unnest($1, $2, $3, $4) as u(id, attempts, error, wait)
    where o.id = u.id and o.leased_by = $5 and o.parked_at is null";

pub(super) const RELEASE: &str = "
    update housekeeper_outbox set leased_by = null, due_at = coalesce($3, clock_timestamp())
    where rule = $1 and parked_at is null and leased_by = $2";

pub(super) const COUNTS: &str = "
    select waiting, failing,
        (select (extract(epoch from coalesce($2, clock_timestamp()) - greatest(least(first, '9999-12-31Z'), '0001-01-01Z')) * 1000000)::bigint where first is not null) as oldest,
        (select count(*) from (select from housekeeper_outbox where rule = $1 and parked_at is not null order by id limit $3) as p) as parked
    from (select count(*) as waiting, count(*) filter (where attempts > 0) as failing, min(at) as first
        from (select attempts, at from housekeeper_outbox where rule = $1 and parked_at is null order by due_at, id limit $3) as e) as w";

pub(super) const PARKED: &str = "
    select id, topic, key, greatest(least(at, '9999-12-31Z'), '0001-01-01Z') as at, payload::text as payload, attempts,
        greatest(least(parked_at, '9999-12-31Z'), '0001-01-01Z') as parked_at, last_error from housekeeper_outbox
    where rule = $1 and parked_at is not null and id > $2 order by id limit $3";

pub(super) const REDELIVER: &str = "
    update housekeeper_outbox set parked_at = null, attempts = 0, leased_by = null, due_at = coalesce($2, clock_timestamp())
    where id = any (array(select id from housekeeper_outbox where rule = $1 and parked_at is not null
        and ($3 is null or id = any ($3)) order by id limit $4 for update))";

pub(super) const DISCARD: &str = "
    delete from housekeeper_outbox where ($2::timestamptz is null or true)
        and id = any (array(select id from housekeeper_outbox where rule = $1 and parked_at is not null
        and ($3 is null or id = any ($3)) order by id limit $4 for update))";
