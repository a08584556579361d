//! The rules, as a host would keep them in a file.

use std::collections::BTreeSet;

use ractor_housekeeper::Job;
use ractor_housekeeper::rule::{Findings, Rule};
use ractor_housekeeper::testing::assert_conforms;

pub(crate) fn set<'i>(ids: impl IntoIterator<Item = &'i str>) -> BTreeSet<String> {
    ids.into_iter().map(String::from).collect()
}

/// A schema's rule and what the suite needs to know of it.
pub(crate) struct Case {
    /// The rule, as JSON.
    pub(crate) rule: &'static str,
    /// Rows, beside an instant of noon on 2026-01-10, UTC.
    pub(crate) rows: &'static str,
    /// The ids that are due then.
    pub(crate) due: &'static [&'static str],
    /// A question that holds once they are handled.
    pub(crate) after: &'static str,
}

impl Case {
    pub(crate) fn rule(&self) -> Rule {
        let lines = self.rule.trim().lines().count();
        assert!(lines <= 12, "a rule of {lines} lines:\n{}", self.rule);
        serde_json::from_str(self.rule).unwrap_or_else(|error| panic!("{error}:\n{}", self.rule))
    }

    /// Asserts that the check refuses nothing, and that the job handles the rows that are due.
    pub(crate) async fn assert_handled(&self, findings: &Findings, job: &dyn Job) {
        let name = job.name();
        assert_eq!(findings.refused, [], "{findings}");
        let handled = assert_conforms(job, 2.try_into().expect("is not zero")).await;
        let handled = handled.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            handled.into_iter().collect::<BTreeSet<_>>(),
            set(self.due.iter().copied()),
            "{name}"
        );
    }
}

#[cfg(feature = "postgres")]
pub(crate) const POSTGRES: &[Case] = &[
    Case {
        rule: r#"{ "name": "django-sessions", "table": "s01.django_session", "due": { "at": "expire_date" }, "action": "delete" }"#,
        rows: "insert into s01.django_session values ('a', '', '2026-01-10 11:59:59.999999Z'), ('B', '', '2026-01-10 11:00Z'), ('c', '', '-infinity'),
            ('at', '', '2026-01-10 12:00Z'), ('later', '', '2026-01-10 12:00:01Z'), ('never', '', 'infinity')",
        due: &["a", "B", "c"],
        after: "select count(*) = 3 from s01.django_session",
    },
    Case {
        rule: r#"{ "name": "laravel-sessions", "table": "s02.sessions", "scope": "user_id", "show": ["ip_address"],
            "due": { "at": "last_activity", "after": "2h", "stamp": "seconds", "inclusive": true }, "action": "delete" }"#,
        rows: "insert into s02.sessions select v.id, 7, '::1', null, '', extract(epoch from v.at::timestamptz)::int
            from (values ('a', '2026-01-10 10:00Z'), ('b', '2026-01-10 09:00Z'), ('B', '2026-01-10 09:00Z'), ('live', '2026-01-10 10:00:01Z')) v(id, at)",
        due: &["a", "b", "B"],
        after: "select count(*) = 1 from s02.sessions",
    },
    Case {
        rule: r#"{ "name": "spring-sessions", "table": "s03.spring_session", "due": { "at": "expiry_time", "stamp": "millis" }, "action": "delete",
            "with": [{ "table": "s03.spring_session_attributes", "column": "session_primary_id" }], "scope": "principal_name" }"#,
        rows: "insert into s03.spring_session select v.id, v.id, 0, 0, 1800, extract(epoch from v.at::timestamptz) * 1000, 'me'
            from (values ('a', '2026-01-10 11:00Z'), ('b', '2026-01-10 11:59:59.999Z'), ('c', '2026-01-10 12:00Z')) v(id, at);
            insert into s03.spring_session_attributes values ('a', 'x', ''), ('a', 'y', ''), ('c', 'x', '')",
        due: &["a", "b"],
        after: "select count(*) = 1 from s03.spring_session_attributes",
    },
    Case {
        rule: r#"{ "name": "doorkeeper-tokens", "table": "s05.oauth_access_tokens", "scope": "resource_owner_id",
            "due": { "at": "created_at", "plus": "expires_in", "unit": "seconds", "stamp": "naive_utc" },
            "only": { "and": [{ "not_null": "expires_in" }, { "is_null": "refresh_token" }] }, "action": "delete" }"#,
        rows: "insert into s05.oauth_applications values (1, 'app'); insert into s05.oauth_access_tokens (id, application_id, token, refresh_token, expires_in, created_at)
            values (9, 1, 'a', null, 3600, '2026-01-10 10:59:59.999999'), (10, 1, 'b', null, 60, '2026-01-10 11:00'), (11, 1, 'c', null, 3600, '2026-01-10 11:00'),
            (12, 1, 'd', 'r', 60, '2026-01-10 10:00'), (13, 1, 'e', null, null, '2020-01-01')",
        due: &["9", "10"],
        after: "select count(*) = 3 from s05.oauth_access_tokens",
    },
    Case {
        rule: r#"{ "name": "vaultwarden-trash", "table": "s06.ciphers", "due": { "at": "deleted_at", "after": "30days", "stamp": "naive_utc" },
            "with": [{ "table": "s06.attachments", "column": "cipher_uuid" }, { "table": "s06.folders_ciphers", "column": "cipher_uuid" },
                { "table": "s06.ciphers_collections", "column": "cipher_uuid" }, { "table": "s06.favorites", "column": "cipher_uuid" }],
            "scope": "user_uuid", "action": "delete" }"#,
        rows: "insert into s06.ciphers select v.id, now(), now(), 'u', null, 1, '', '', v.at::timestamp
            from (values ('a', '2025-12-11 11:59:59'), ('b', '2025-01-01'), ('c', '2025-12-11 12:00'), ('d', null)) v(id, at);
            insert into s06.attachments values ('f1', 'a', 'x', 1), ('f2', 'c', 'y', 1); insert into s06.favorites values ('u', 'b'), ('u', 'd')",
        due: &["a", "b"],
        after: "select (select count(*) from s06.attachments) = 1 and (select count(*) from s06.favorites) = 1",
    },
    Case {
        rule: r#"{ "name": "nostr-events", "table": "s07.event", "due": { "at": "expires_at", "inclusive": true }, "action": "delete",
            "with": [{ "table": "s07.tag", "column": "event_id" }] }"#,
        rows: "insert into s07.event (id, pub_key, created_at, kind, content, expires_at) select v.id::bytea, '', now(), 1, '', v.at::timestamptz
            from (values ('\\x01', '2026-01-10 12:00Z'), ('\\xff', '2026-01-10 11:00Z'), ('\\x02', '2026-01-10 12:00:01Z'), ('\\x03', null)) v(id, at);
            insert into s07.tag (event_id, name) values ('\\x01', 'e'), ('\\x02', 'p')",
        due: &["\\xff", "\\x01"],
        after: "select count(*) = 1 from s07.tag",
    },
    Case {
        rule: r#"{ "name": "pretix-orders", "table": "s08.pretixbase_order", "due": { "at": "expires" }, "scope": "event_id", "show": ["code"],
            "only": { "and": [{ "eq": ["status", "n"] }, { "eq": ["valid_if_pending", false] }, { "eq": ["require_approval", false] }] },
            "unless": [{ "table": "s08.pretixbase_orderfee", "column": "order_id", "only": { "eq": ["fee_type", "cancellation"] } },
                { "table": "s08.pretixbase_event_settingsstore", "column": "object_id", "references": "event_id",
                    "only": { "and": [{ "eq": ["key", "payment_term_expire_automatically"] }, { "eq": ["value", "False"] }] } }],
            "may_race": true, "action": { "set": { "status": "e" } } }"#,
        rows: "insert into s08.pretixbase_event values (1), (2); insert into s08.pretixbase_event_settingsstore values (1, 2, 'payment_term_expire_automatically', 'False');
            insert into s08.pretixbase_order select v.id, 'c', v.event, v.status, v.at::timestamptz, false, v.approval from (values (1, 1, 'n', '2026-01-10 11:00Z', false),
            (2, 1, 'n', '2026-01-10 11:00Z', false), (3, 1, 'p', '2026-01-10 11:00Z', false), (4, 2, 'n', '2026-01-10 11:00Z', false), (5, 1, 'n', '2026-01-10 11:00Z', true),
            (6, 1, 'n', '2026-01-10 12:00Z', false), (7, 1, 'n', '2026-01-10 10:00Z', false)) v(id, event, status, at, approval);
            insert into s08.pretixbase_orderfee values (1, 7, 'cancellation'), (2, 1, 'shipping')",
        due: &["1", "2"],
        after: "select string_agg(id::text, ',' order by id) = '1,2' from s08.pretixbase_order where status = 'e'",
    },
    Case {
        rule: r#"{ "name": "saleor-orders", "table": "s09.order_order", "only": { "eq": ["status", "unconfirmed"] }, "scope": "user_id",
            "due": { "at": "created_at", "lifetime": { "table": "s09.channel_channel", "key": "id", "by": "channel_id", "column": "expire_orders_after", "unit": "minutes" } },
            "unless": [{ "table": "s09.payment_payment", "column": "order_id" }, { "table": "s09.payment_transactionitem", "column": "order_id" }],
            "action": { "set": { "status": "expired", "expired_at": { "now": true } } },
            "hand_on": [{ "into": "s09.order_orderevent", "columns": { "order_id": { "column": "id" }, "type": "expired", "date": { "now": true } } }],
            "then": ["update s09.warehouse_stock s set quantity_allocated = s.quantity_allocated - g.n from (select a.stock_id, sum(a.quantity_allocated) as n from s09.warehouse_allocation a join s09.order_orderline l on l.id = a.order_line_id join written w on w.id = l.order_id group by 1) g where g.stock_id = s.id"] }"#,
        rows: "insert into s09.channel_channel values (1, 60), (2, null); insert into s09.warehouse_stock values (1, 10, 5);
            insert into s09.order_order select v.id::uuid, v.channel, v.status, v.at::timestamptz from (values
            ('00000000-0000-0000-0000-000000000001', 1, 'unconfirmed', '2026-01-10 10:59Z'), ('00000000-0000-0000-0000-000000000002', 1, 'unconfirmed', '2026-01-10 11:00Z'),
            ('00000000-0000-0000-0000-000000000003', 2, 'unconfirmed', '2026-01-01 10:00Z'), ('00000000-0000-0000-0000-000000000004', 1, 'unconfirmed', '2026-01-10 10:00Z'),
            ('00000000-0000-0000-0000-000000000005', 1, 'canceled', '2026-01-10 10:00Z'), ('00000000-0000-0000-0000-000000000006', 1, 'unconfirmed', '2026-01-10 10:00Z')) v(id, channel, status, at);
            insert into s09.payment_payment (order_id) values ('00000000-0000-0000-0000-000000000004');
            insert into s09.order_orderline values ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-000000000001');
            insert into s09.warehouse_allocation (order_line_id, stock_id, quantity_allocated) values ('00000000-0000-0000-0000-00000000000a', 1, 2)",
        due: &["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000006"],
        after: "select (select quantity_allocated from s09.warehouse_stock) = 3 and (select count(*) from s09.order_orderevent) = 2",
    },
    Case {
        rule: r#"{ "name": "gitea-artifacts", "table": "s11.action_artifact", "due": { "at": "expired_unix", "stamp": "seconds" },
            "only": { "eq": ["status", 2] }, "action": { "set": { "status": 4, "updated_unix": { "now": true } } }, "scope": "repo_id" }"#,
        rows: "insert into s11.action_artifact (id, status, expired_unix, repo_id, artifact_name) select v.id, v.status, extract(epoch from v.at::timestamptz), 3, v.id from (values
            (1, 2, '2026-01-10 11:59:59Z'), (2, 2, '2026-01-10 12:00Z'), (3, 1, '2026-01-10 11:00Z'), (4, 2, null), (5, 2, '2026-01-01Z')) v(id, status, at)",
        due: &["1", "5"],
        after: "select count(*) = 2 from s11.action_artifact where status = 4 and updated_unix = 1768046400",
    },
    Case {
        rule: r#"{ "name": "n8n-soft", "table": "s13.execution_entity", "due": { "at": "stoppedAt", "after": "14days" },
            "only": { "and": [{ "is_null": "deletedAt" }, { "none_of": ["status", ["running", "new", "waiting"]] }] },
            "unless": [{ "table": "s13.execution_annotations", "column": "executionId" }],
            "scope": "workflowId", "action": { "set": { "deletedAt": { "now": true } } } }"#,
        rows: r#"insert into s13.execution_entity (id, "workflowId", finished, mode, "stoppedAt", status, "deletedAt") select v.id, 'w', true, 'm', v.at::timestamptz, v.status, v.gone::timestamptz
            from (values (1, '2025-12-01Z', 'success', null), (2, '2025-12-01Z', 'running', null), (3, '2025-12-01Z', 'error', null), (4, '2026-01-09Z', 'success', null),
            (5, '2025-12-01Z', 'success', '2026-01-01Z'), (6, null, 'success', null), (7, '2025-12-01Z', 'success', null)) v(id, at, status, gone);
            insert into s13.execution_annotations ("executionId") values (3)"#,
        due: &["1", "7"],
        after: r#"select count(*) = 2 from s13.execution_entity where "deletedAt" = '2026-01-10 12:00Z'"#,
    },
    Case {
        rule: r#"{ "name": "n8n-hard", "table": "s13.execution_entity", "due": { "at": "deletedAt", "after": "1h" }, "action": "delete",
            "with": [{ "table": "s13.execution_data", "column": "executionId" }, { "table": "s13.execution_annotations", "column": "executionId" }] }"#,
        rows: r#"insert into s13.execution_entity (id, "workflowId", finished, mode, status, "deletedAt") select v.id, 'w', true, 'm', 'success', v.gone::timestamptz
            from (values (1, '2026-01-10 10:00Z'), (2, '2026-01-10 11:00Z'), (3, null), (4, '2026-01-10 10:00Z')) v(id, gone);
            insert into s13.execution_data values (1, ''), (3, '')"#,
        due: &["1", "4"],
        after: "select count(*) = 1 from s13.execution_data",
    },
    Case {
        rule: r#"{ "name": "lnd-invoices", "table": "s15.invoices", "due": { "at": "created_at", "plus": "expiry", "unit": "seconds", "stamp": "naive_utc" },
            "only": { "eq": ["state", 0] }, "unless": [{ "table": "s15.invoice_htlcs", "column": "invoice_id", "only": { "eq": ["state", 1] } }],
            "key": ["hash"], "action": { "set": { "state": 2 } } }"#,
        rows: "insert into s15.invoices select v.id, v.hash::bytea, null, 3600, v.state, false, v.at::timestamp from (values (1, '\\x01', 0, '2026-01-10 10:00'), (2, '\\xaa', 0, '2026-01-10 10:00'),
            (3, '\\x03', 1, '2026-01-10 10:00'), (4, '\\x04', 0, '2026-01-10 11:00'), (5, '\\x05', 0, '2026-01-10 10:00')) v(id, hash, state, at);
            insert into s15.invoice_htlcs values (1, 1, 5), (2, 0, 1)",
        due: &["\\x01", "\\xaa"],
        after: "select count(*) = 2 from s15.invoices where state = 2",
    },
    Case {
        rule: r#"{ "name": "mastodon-ips", "table": "s17.session_activations", "due": { "at": "updated_at", "after": "365days", "stamp": "naive_utc" },
            "only": { "not_null": "ip" }, "scope": "user_id", "action": { "set": { "ip": { "null": true } } } }"#,
        rows: "insert into s17.session_activations (id, session_id, created_at, updated_at, ip, user_id) select v.id, v.id, now(), v.at::timestamp, v.ip::inet, 1 from (values
            (1, '2025-01-01', '10.0.0.1'), (2, '2025-01-10 12:00', '10.0.0.1'), (3, '2024-01-01', null), (4, '2024-01-01', '::1')) v(id, at, ip)",
        due: &["1", "4"],
        after: "select count(*) = 1 from s17.session_activations where ip is not null",
    },
    Case {
        rule: r#"{ "name": "rails-blobs", "table": "s18.active_storage_blobs", "due": { "at": "created_at", "after": "2days", "stamp": "naive_utc" },
            "unless": [{ "table": "s18.active_storage_attachments", "column": "blob_id" }], "show": ["filename", "byte_size"], "action": "delete" }"#,
        rows: "insert into s18.active_storage_blobs select v.id, v.id, 'f', 1, v.at::timestamp from (values (1, '2026-01-08 11:59'), (2, '2026-01-01'), (3, '2026-01-01'), (4, '2026-01-08 12:00')) v(id, at);
            insert into s18.active_storage_attachments values (1, 'x', 'y', 1, 2, now())",
        due: &["1", "3"],
        after: "select count(*) = 2 from s18.active_storage_blobs",
    },
    Case {
        rule: r#"{ "name": "gitlab-artifacts", "table": "s21.p_ci_job_artifacts", "due": { "at": "expire_at" }, "only": { "eq": ["locked", 0] }, "action": "delete",
            "scope": "project_id", "hand_on": [{ "into": "s21.ci_deleted_objects",
                "columns": { "file_store": { "sql": "coalesce(file_store, 1)" }, "store_dir": { "sql": "'artifacts/' || job_id" }, "file": { "column": "file" } } }] }"#,
        rows: "insert into s21.p_ci_job_artifacts select v.id, v.part, 5, v.id, 'f' || v.id, null, v.at::timestamptz, v.locked from (values (1, 100, '2026-01-10 11:00Z', 0), (1, 101, '2026-01-10 11:00Z', 0),
            (2, 100, '2026-01-10 11:00Z', 1), (3, 101, '2026-01-10 12:00Z', 0), (4, 101, null, 0), (5, 101, '2026-01-09Z', 0)) v(id, part, at, locked)",
        due: &["[1, 100]", "[1, 101]", "[5, 101]"],
        after: "select count(*) = 3 and bool_or(store_dir = 'artifacts/5') from s21.ci_deleted_objects",
    },
    Case {
        rule: r#"{ "name": "river-completed", "table": "s31.river_job", "due": { "at": "finalized_at", "after": "24h" },
            "only": { "eq": ["state", "completed"] }, "show": ["kind", "queue"], "action": "delete" }"#,
        rows: "insert into s31.river_job (id, kind, state, finalized_at) select v.id, 'k', v.state::s31.river_job_state, v.at::timestamptz from (values (9, 'completed', '2026-01-09 11:59:59.999999Z'),
            (10, 'completed', '2026-01-01Z'), (11, 'completed', '2026-01-09 12:00Z'), (12, 'discarded', '2026-01-01Z'), (13, 'running', null)) v(id, state, at)",
        due: &["10", "9"],
        after: "select count(*) = 3 from s31.river_job",
    },
    Case {
        rule: r#"{ "name": "oban-pruner", "table": "s32.oban_jobs", "due": { "coalesce": ["completed_at", "cancelled_at", "discarded_at"], "after": "1min", "stamp": "naive_utc" },
            "only": { "one_of": ["state", ["completed", "cancelled", "discarded"]] }, "show": ["worker"], "action": "delete" }"#,
        rows: "insert into s32.oban_jobs (id, worker, state, completed_at, cancelled_at, discarded_at) select v.id, 'w', v.state::s32.oban_job_state, v.done::timestamp, v.off::timestamp, v.bad::timestamp from (values
            (1, 'completed', '2026-01-10 11:58', null, null), (2, 'cancelled', null, '2026-01-10 11:58:59', null), (3, 'discarded', null, null, '2026-01-10 11:00'),
            (4, 'completed', '2026-01-10 11:59', null, null), (5, 'retryable', null, null, '2026-01-10 11:00'), (6, 'executing', null, null, null)) v(id, state, done, off, bad)",
        due: &["1", "2", "3"],
        after: "select count(*) = 3 from s32.oban_jobs",
    },
    // No foreign key, and a key of two columns.
    Case {
        rule: r#"{ "name": "keycloak-offline", "table": "s33.offline_user_session", "due": { "at": "last_session_refresh", "after": "30days", "stamp": "seconds" },
            "only": { "eq": ["offline_flag", "1"] }, "scope": "user_id", "action": "delete",
            "with": [{ "table": "s33.offline_client_session", "column": ["user_session_id", "offline_flag"] }] }"#,
        rows: "insert into s33.offline_user_session select v.id, 'u', 'r', 0, v.flag, null, extract(epoch from v.at::timestamptz)::int from (values ('a', '1', '2025-12-11 11:59:59Z'), ('a', '0', '2025-01-01Z'),
            ('b', '1', '2025-01-01Z'), ('c', '1', '2025-12-11 12:00Z')) v(id, flag, at); insert into s33.offline_client_session (user_session_id, client_id, offline_flag) values ('a', 'x', '1'), ('a', 'x', '0'), ('c', 'x', '1')",
        due: &["[\"a\", \"1\"]", "[\"b\", \"1\"]"],
        after: "select (select count(*) from s33.offline_client_session) = 2 and (select count(*) from s33.offline_user_session) = 2",
    },
    // Two ages, of which the earlier counts: an expression.
    Case {
        rule: r#"{ "name": "grafana-tokens", "table": "s34.user_auth_token", "scope": "user_id", "show": ["client_ip"], "action": "delete",
            "due": { "sql": { "postgres": "least(created_at + 2592000, rotated_at + 604800)", "sqlite": "min(created_at + 2592000, rotated_at + 604800)" }, "stamp": "seconds", "inclusive": true } }"#,
        rows: "insert into s34.user_auth_token select v.id, 7, v.id::text, v.id::text, '', '::1', true, null, v.rotated, v.created, 0, null from (values (1, 1768046400 - 604800, 1768046000), (2, 1768046399, 1768046400 - 2592000),
            (3, 1768046400 - 604799, 1768046000), (4, 1768046400, 1768046400)) v(id, rotated, created)",
        due: &["1", "2"],
        after: "select count(*) = 2 from s34.user_auth_token",
    },
    Case {
        rule: r#"{ "name": "auth-js-tokens", "table": "s35.verification_token", "due": { "at": "expires" }, "action": "delete", "scope": "identifier" }"#,
        rows: "insert into s35.verification_token values ('it''s@x', '2026-01-10 11:00Z', 'a'), ('b@x', '2026-01-10 11:59:59.999Z', 'b'), ('b@x', '2026-01-10 12:00Z', 'c')",
        due: &["[\"b@x\", \"b\"]", "[\"it's@x\", \"a\"]"],
        after: "select count(*) = 1 from s35.verification_token",
    },
    Case {
        rule: r#"{ "name": "discourse-tokens", "table": "s36.user_auth_tokens", "due": { "at": "rotated_at", "after": "60days", "stamp": "naive_utc" },
            "scope": "user_id", "show": ["client_ip"], "action": "delete" }"#,
        rows: "insert into s36.user_auth_tokens (id, user_id, auth_token, prev_auth_token, rotated_at, created_at, updated_at) select v.id, 1, v.id::text, v.id::text, v.at::timestamp, now(), now()
            from (values (1, '2025-11-11 11:59:59'), (2, '2025-11-11 12:00'), (3, '2025-01-01')) v(id, at)",
        due: &["1", "3"],
        after: "select count(*) = 1 from s36.user_auth_tokens",
    },
];

#[cfg(feature = "sqlite")]
pub(crate) const SQLITE: &[Case] = &[
    Case {
        rule: r#"{ "name": "laravel-sessions", "table": "sessions", "scope": "user_id", "show": ["ip_address"],
            "due": { "at": "last_activity", "after": "2h", "stamp": "seconds", "inclusive": true }, "action": "delete" }"#,
        rows: "insert into sessions select v.column1, 7, '::1', null, '', unixepoch(v.column2)
            from (values ('a', '2026-01-10 10:00:00'), ('b', '2026-01-10 09:00:00'), ('B', '2026-01-10 09:00:00'), ('live', '2026-01-10 10:00:01')) v",
        due: &["a", "b", "B"],
        after: "select count(*) = 1 from sessions",
    },
    Case {
        rule: r#"{ "name": "vaultwarden-trash", "table": "ciphers", "due": { "at": "deleted_at", "after": "30days", "stamp": { "text": "%Y-%m-%d %H:%M:%S%.f" } },
            "with": [{ "table": "attachments", "column": "cipher_uuid" }], "scope": "user_uuid", "action": "delete" }"#,
        rows: "insert into ciphers select v.column1, '', '', 'u', null, 1, '', '', v.column2
            from (values ('a', '2025-12-11 11:59:59.999'), ('b', '2025-01-01 00:00:00'), ('c', '2025-12-11 12:00:00'), ('d', null), ('e', '2025-12-11 12:00:00.5')) v;
            insert into attachments values ('f1', 'a', 'x', 1), ('f2', 'c', 'y', 1)",
        due: &["a", "b"],
        after: "select (select count(*) from ciphers) = 3 and (select count(*) from attachments) = 1",
    },
    Case {
        rule: r#"{ "name": "nostr-events", "table": "event", "due": { "at": "expires_at", "stamp": "seconds", "inclusive": true }, "action": "delete",
            "with": [{ "table": "tag", "column": "event_id" }] }"#,
        rows: "insert into event select v.column1, x'00', 0, v.column2, 1, x'', '', 0 from (values (9, 1768046400), (10, 1768046000), (11, 1768046401), (12, null)) v;
            insert into tag (event_id, name) values (9, 'e'), (11, 'p')",
        due: &["9", "10"],
        after: "select (select count(*) from event) = 2 and (select count(*) from tag) = 1",
    },
    Case {
        rule: r#"{ "name": "gitea-artifacts", "table": "action_artifact", "due": { "at": "expired_unix", "stamp": "seconds" },
            "only": { "eq": ["status", 2] }, "action": { "set": { "status": 4 } } }"#,
        rows: "insert into action_artifact (id, status, expired_unix) values (1, 2, 1768046399), (2, 2, 1768046400), (3, 1, 1768046000), (4, 2, null), (5, 2, 1)",
        due: &["1", "5"],
        after: "select count(*) = 2 from action_artifact where status = 4",
    },
    Case {
        rule: r#"{ "name": "n8n-soft", "table": "execution_entity", "due": { "at": "stoppedAt", "after": "14days", "stamp": { "text": "%Y-%m-%d %H:%M:%S%.3f" } },
            "only": { "and": [{ "is_null": "deletedAt" }, { "none_of": ["status", ["running", "new", "waiting"]] }] },
            "scope": "workflowId", "action": { "set": { "deletedAt": { "now": true } } } }"#,
        rows: r#"insert into execution_entity (id, "workflowId", "stoppedAt", status, "deletedAt") values (1, 'w', '2025-12-01 00:00:00.000', 'success', null),
            (2, 'w', '2025-12-01 00:00:00.000', 'running', null), (3, 'w', '2025-12-27 12:00:00.000', 'success', null), (4, 'w', '2025-12-27 11:59:59.999', 'error', null),
            (5, 'w', '2025-12-01 00:00:00.000', 'success', '2026-01-01 00:00:00.000'), (6, 'w', null, 'success', null)"#,
        due: &["1", "4"],
        after: r#"select count(*) = 2 from execution_entity where "deletedAt" = '2026-01-10 12:00:00.000'"#,
    },
    Case {
        rule: r#"{ "name": "lnd-invoices", "table": "invoices", "key": ["hash"], "only": { "eq": ["state", 0] }, "action": { "set": { "state": 2 } },
            "due": { "at": "created_at", "plus": "expiry", "unit": "seconds", "stamp": { "text": "%Y-%m-%d %H:%M:%S%.f +0000 UTC" } } }"#,
        rows: "insert into invoices values (1, x'01', 3600, 0, '2026-01-10 10:00:00 +0000 UTC'), (2, x'aa', 3600, 0, '2026-01-10 10:59:59.5 +0000 UTC'),
            (3, x'03', 3600, 1, '2026-01-10 10:00:00 +0000 UTC'), (4, x'04', 3600, 0, '2026-01-10 11:00:00 +0000 UTC')",
        due: &["01", "AA"],
        after: "select count(*) = 2 from invoices where state = 2",
    },
    Case {
        rule: r#"{ "name": "grafana-tokens", "table": "user_auth_token", "scope": "user_id", "show": ["client_ip"], "action": "delete",
            "due": { "sql": { "postgres": "least(created_at + 2592000, rotated_at + 604800)", "sqlite": "min(created_at + 2592000, rotated_at + 604800)" }, "stamp": "seconds", "inclusive": true } }"#,
        rows: "insert into user_auth_token select v.column1, 7, v.column1, v.column1, '', '::1', 1, null, v.column2, v.column3, 0, null from (values (1, 1768046400 - 604800, 1768046000), (2, 1768046399, 1768046400 - 2592000),
            (3, 1768046400 - 604799, 1768046000), (4, 1768046400, 1768046400)) v",
        due: &["1", "2"],
        after: "select count(*) = 2 from user_auth_token",
    },
    // Rows refer to rows of the same table.
    Case {
        rule: r#"{ "name": "home-assistant-states", "table": "states", "due": { "at": "last_updated_ts", "after": "10days", "stamp": "seconds" },
            "with": [{ "table": "states", "column": "old_state_id", "action": "set_null", "counts_as": "links" }], "action": "delete" }"#,
        rows: "insert into states (state_id, last_updated_ts, old_state_id) values (1, 1767182399.75, null), (2, 1767182000.5, 1), (3, 1767182400.25, 2), (4, null, 3), (5, 1768046400, 3)",
        due: &["2", "1"],
        after: "select (select count(*) from states) = 3 and (select old_state_id is null from states where state_id = 3)",
    },
    // The same with no address of rows.
    Case {
        rule: r#"{ "name": "drafts", "table": "drafts", "due": { "first_of": ["expires", "revoked"], "stamp": "millis" }, "action": { "archive": "old_drafts" },
            "then": ["update counters set n = n - (select count(*) from written)"] }"#,
        rows: "create table drafts (tenant text, id integer, expires integer, revoked integer, primary key (tenant, id)) without rowid;
            create table old_drafts (tenant text, id integer, expires integer, revoked integer, archived text default 'yes'); create table counters (n integer); insert into counters values (5);
            insert into drafts values ('it''s', 1, 1768046399999, null), ('b', 1, null, 5), ('b', 2, 1768046400000, null), ('c', 3, 1768046400001, 7), ('d', 4, null, null)",
        due: &["[\"it's\", 1]", "[\"b\", 1]", "[\"c\", 3]"],
        after: "select (select count(*) from old_drafts) = 3 and (select n from counters) = 2",
    },
];

/// Prints the rules with their lines: `-- --nocapture rules_and_their_lines`.
#[test]
fn the_rules_and_their_lines() {
    let all: [(&str, &[Case]); 2] = [
        #[cfg(feature = "postgres")]
        ("Postgres", POSTGRES),
        #[cfg(not(feature = "postgres"))]
        ("Postgres", &[]),
        #[cfg(feature = "sqlite")]
        ("SQLite", SQLITE),
        #[cfg(not(feature = "sqlite"))]
        ("SQLite", &[]),
    ];
    println!("{:<24} {:<9} {:>5}  table", "rule", "database", "lines");
    for (database, cases) in all {
        for case in cases {
            let rule = case.rule();
            let lines = case.rule.trim().lines().count();
            println!(
                "{:<24} {database:<9} {lines:>5}  {}",
                rule.name(),
                rule.table()
            );
        }
    }
}
