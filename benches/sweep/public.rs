//! Rules over tables of public projects, beside one plain statement over the same rows.

use std::time::{Duration, Instant};

use ractor_housekeeper::rule::{Rule, Stamp, Unit, age, at, is_null, moment, not_null};

use crate::figures::Figures;
use crate::ours;
use crate::support::Result;
use crate::support::cpu::Mark;
use crate::support::database::{Database, Kind};

/// A table of a public project, with a rule over it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Public {
    /// Laravel's sessions: an integer of seconds, and a payload.
    Laravel,
    /// Django's sessions: an instant at which each ends.
    Django,
    /// Doorkeeper's tokens: a lifetime in each row, and a condition.
    Doorkeeper,
}

impl Public {
    pub(crate) const ALL: [Self; 3] = [Self::Laravel, Self::Django, Self::Doorkeeper];

    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Laravel => "laravel_sessions",
            Self::Django => "django_session",
            Self::Doorkeeper => "oauth_access_tokens",
        }
    }

    fn rule(self) -> Rule {
        let rule = Rule::new(self.table().replace('_', "-"), self.table());
        let rule = match self {
            Self::Laravel => rule
                .due(age("last_activity", DAY).seconds())
                .scope("user_id"),
            Self::Django => {
                let text = Stamp::Text("%Y-%m-%d %H:%M:%S".to_owned());
                rule.due(at(moment("expire_date").on_sqlite(text)))
            }
            Self::Doorkeeper => rule
                .due(
                    at("created_at")
                        .plus("expires_in", Unit::Seconds)
                        .naive_utc()
                        .on_sqlite(Stamp::Seconds),
                )
                .only(not_null("expires_in").and(is_null("refresh_token")))
                .scope("resource_owner_id"),
        };
        rule.expect_backlog().delete()
    }

    /// The table with its index, and, behind [`ROWS`], rows of which a fifth is due.
    fn table_and_rows(self, is_postgres: bool) -> &'static str {
        match (self, is_postgres) {
            (Self::Laravel, true) => {
                "drop table if exists laravel_sessions;
                create table laravel_sessions (id varchar(255) primary key, user_id bigint, ip_address varchar(45), user_agent text,
                    payload text not null, last_activity integer not null);
                create index on laravel_sessions (user_id);
                create index on laravel_sessions (last_activity);
                -- rows
                insert into laravel_sessions select md5(n::text), n % 1000, '127.0.0.1', 'agent', repeat('payload ', 20),
                    extract(epoch from now())::int - case when n % 5 = 0 then 200000 else 60 end from generate_series(1, {rows}) as n"
            }
            (Self::Laravel, false) => {
                "drop table if exists laravel_sessions;
                create table laravel_sessions (id varchar not null primary key, user_id integer, ip_address varchar, user_agent text,
                    payload text not null, last_activity integer not null);
                create index laravel_sessions_user_id on laravel_sessions (user_id);
                create index laravel_sessions_last_activity on laravel_sessions (last_activity);
                -- rows
                with recursive numbers(value) as (select 1 union all select value + 1 from numbers where value < {rows})
                insert into laravel_sessions select lower(hex(randomblob(20))), value % 1000, '127.0.0.1', 'agent', printf('%.*c', 160, 'x'),
                    unixepoch() - case when value % 5 = 0 then 200000 else 60 end from numbers"
            }
            (Self::Django, true) => {
                "drop table if exists django_session;
                create table django_session (session_key varchar(40) primary key, session_data text not null, expire_date timestamptz not null);
                create index on django_session (session_key varchar_pattern_ops);
                create index on django_session (expire_date);
                -- rows
                insert into django_session select md5(n::text), repeat('data', 40),
                    now() + make_interval(secs => case when n % 5 = 0 then -1000 - n * 0.01 else 90000 end) from generate_series(1, {rows}) as n"
            }
            (Self::Django, false) => {
                "drop table if exists django_session;
                create table django_session (session_key varchar(40) not null primary key, session_data text not null, expire_date datetime not null);
                create index django_session_expire_date on django_session (expire_date);
                -- rows
                with recursive numbers(value) as (select 1 union all select value + 1 from numbers where value < {rows})
                insert into django_session select lower(hex(randomblob(20))), printf('%.*c', 160, 'x'),
                    datetime('now', case when value % 5 = 0 then '-2 days' else '+2 days' end) from numbers"
            }
            (Self::Doorkeeper, true) => {
                "drop table if exists oauth_access_tokens;
                create table oauth_access_tokens (id bigint primary key, resource_owner_id bigint, token varchar not null unique,
                    refresh_token varchar unique, expires_in integer, created_at timestamp not null);
                create index on oauth_access_tokens (resource_owner_id);
                create index on oauth_access_tokens ((created_at + expires_in * interval '1000 milliseconds'), id);
                -- rows
                insert into oauth_access_tokens select n, n % 1000, md5(n::text), null, 7200,
                    (now() at time zone 'utc') - make_interval(secs => case when n % 5 = 0 then 9000 + n * 0.01 else 60 end) from generate_series(1, {rows}) as n"
            }
            (Self::Doorkeeper, false) => {
                "drop table if exists oauth_access_tokens;
                create table oauth_access_tokens (id integer primary key, resource_owner_id integer, token varchar not null unique,
                    refresh_token varchar unique, expires_in integer, created_at integer not null);
                create index oauth_access_tokens_owner on oauth_access_tokens (resource_owner_id);
                create index oauth_access_tokens_due on oauth_access_tokens (created_at + expires_in, id);
                -- rows
                with recursive numbers(value) as (select 1 union all select value + 1 from numbers where value < {rows})
                insert into oauth_access_tokens select value, value % 1000, lower(hex(randomblob(16))), null, 7200,
                    unixepoch() - case when value % 5 = 0 then 9000 else 60 end from numbers"
            }
        }
    }

    /// All due rows in one statement.
    fn one_statement(self, is_postgres: bool) -> &'static str {
        match (self, is_postgres) {
            (Self::Laravel, true) => {
                "delete from laravel_sessions where last_activity < extract(epoch from now())::int - 86400"
            }
            (Self::Laravel, false) => {
                "delete from laravel_sessions where last_activity < unixepoch() - 86400"
            }
            (Self::Django, true) => "delete from django_session where expire_date < now()",
            (Self::Django, false) => {
                "delete from django_session where expire_date < datetime('now')"
            }
            (Self::Doorkeeper, true) => {
                "delete from oauth_access_tokens where created_at + expires_in * interval '1000 milliseconds' < now() at time zone 'utc' \
                 and expires_in is not null and refresh_token is null"
            }
            (Self::Doorkeeper, false) => {
                "delete from oauth_access_tokens where created_at + expires_in < unixepoch() \
                 and expires_in is not null and refresh_token is null"
            }
        }
    }
}

/// The statement and the rule in turns, each on rows made anew.
pub(crate) async fn measure(
    database: &mut Database,
    public: Public,
    rows: u64,
    rounds: usize,
) -> Result<Figures> {
    let is_postgres = matches!(database.kind, Kind::Postgres { .. });
    let mut figures = Figures::new(crate::ONE_STATEMENT);
    for round in 0..rounds {
        for turn in 0..2 {
            let text = public.table_and_rows(is_postgres);
            let (table, fill) = text.split_once(ROWS).ok_or("it makes a table and rows")?;
            let fill = fill.replace("{rows}", &rows.to_string());
            database.execute(table).await?;
            let running = if (round + turn) % 2 == 0 {
                None
            } else {
                let job = database.store().await?.job(public.rule())?;
                Some((job.name(), ours::started(job).await?))
            };
            database.execute(&fill).await?;
            database.settle().await?;
            let mark = Mark::now(database);
            let (name, took, handled) = if let Some((name, housekeeper)) = running {
                let (took, handled) = ours::run_all(&[housekeeper], &name, public.table()).await?;
                (RULE, took, handled)
            } else {
                let began = Instant::now();
                database.execute(public.one_statement(is_postgres)).await?;
                (crate::ONE_STATEMENT, began.elapsed(), rows / 5)
            };
            if handled != rows / 5 {
                return Err(format!("{name} handled {handled} rows").into());
            }
            figures.add(name, took, mark.elapsed(), handled);
        }
    }
    Ok(figures)
}

/// Divides what makes a table from what fills it.
const ROWS: &str = "-- rows\n";

pub(crate) const RULE: &str = "a rule, full speed";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
