//! The live page of a housekeeper, and the same as JSON: a router to nest in the host's own
//! (feature `web`).
//!
//! It speaks to the housekeeper by messages alone and can do nothing that the host could not. It
//! only reads, until the host says [`Web::with_actions`]. It has no users: put your own
//! authentication around it, as `examples/web.rs` does.
//!
//! ```no_run
//! use axum::Router;
//! use ractor::ActorRef;
//! use ractor_housekeeper::HousekeeperMsg;
//! use ractor_housekeeper::web::Web;
//!
//! fn application(housekeeper: ActorRef<HousekeeperMsg>) -> Router {
//!     Router::new().nest("/admin/housekeeping", Web::new(housekeeper).router())
//! }
//! ```
//!
//! # Which housekeeper
//!
//! [`Web::new`] shows the one it is handed, and that one alone: when it has stopped, each answer is
//! 503 from then on. It is right where a housekeeper lives as long as its host, or has no name.
//! [`Web::named`] looks the name up for each request. Take it where a supervisor starts the
//! housekeeper again: the page goes on with the new one, its streams after they have reconnected,
//! and `health/live` is about the one that runs.
//!
//! # The page
//!
//! `/` has a card for each job and courier, `jobs/{job}` its history as plots and as a table,
//! `jobs/{job}/preview` what a run would handle, `couriers/{rule}` its deliveries and parked
//! entries. It is HTML from the server that reads without a
//! script; with one it follows the housekeeper by server-sent events (`events`). All links are
//! relative, so it may be nested at any path, and behind a proxy that takes a prefix away.
//! (`Router::nest` takes the path as it is written; `nest_service` takes it with and without a
//! slash at its end.) Nothing is loaded from elsewhere, and the content security policy that goes
//! with each answer forbids inline scripts and styles.
//!
//! # The same as JSON
//!
//! | path | answer |
//! |---|---|
//! | `GET api/v1/status` | [`Status`](crate::Status) |
//! | `GET api/v1/jobs/{job}` | [`JobStatus`](crate::model::JobStatus) |
//! | `GET api/v1/jobs/{job}/history?limit=&after=&from=&until=&outcome=` | [`History`](crate::model::History); `limit` is 1 to 1,000, 50 if not given; `after` is `next` of the page before; `from` and `until` are instants or dates; `outcome` lists kinds such as `failed,crashed` |
//! | `GET api/v1/runs/{run}?wait=` | [`RunStatus`](crate::model::RunStatus): waiting, in progress, or ended with its report |
//! | `GET api/v1/jobs/{job}/preview?user=&size=&after_since=&after_id=` | [`Preview`](crate::job::Preview); `size` is 1 to 1,000, 50 if not given; the two parts of its `next` are the next page's `after_since` and `after_id` |
//! | `POST api/v1/jobs/{job}/run?wait=` | [`Report`](crate::Report), or 202 with the `run` and its `Location`. The body is empty, or `{"scope": "all"}`, or `{"scope": {"user": ".."}}` |
//! | `POST api/v1/jobs/{job}/cancel?run=` | `{"cancelled": ..}`: the run that ends after its batch, or `null` |
//! | `POST api/v1/jobs/{job}/pause`, `resume` | `{"paused": .., "changed": ..}`, on this instance |
//! | `POST api/v1/jobs/{job}/pause-replicas`, `resume-replicas` | the same, on all replicas that share the database of the history |
//! | `GET api/v1/instances` | [`Instances`](crate::model::Instances): those that ended a run in the last 20 minutes |
//! | `GET api/v1/couriers/{rule}` | [`CourierStatus`](crate::model::CourierStatus) of what the rule hands on |
//! | `GET api/v1/couriers/{rule}/parked?after=&size=` | [`ParkedEntries`](crate::model::ParkedEntries); `size` is 1 to 1,000, 100 if not given; `after` is `next` of the page before |
//! | `POST api/v1/couriers/{rule}/redeliver`, `discard` | `{"entries": 3}`, or 202 after 10 s, and the change goes on. The body is `{"entries": "all"}`, or `{"entries": {"these": [7]}}` with ids; those that are not parked do not count |
//! | `POST api/v1/run?wait=` | `{"reports": [..], "left_out": [..]}`. Paused jobs are left out unless the body is `{"paused": true}` |
//! | `GET api/v1/openapi.json` | the OpenAPI 3.1 document of the paths above, for generated clients |
//! | `GET health/live` | 200 as long as the housekeeper answers within a second |
//! | `GET health/ready` | 200 if it takes runs |
//! | `GET health/jobs` | 200 if all jobs are healthy; for monitors, see below |
//!
//! `wait` is the number of seconds to wait for a run, 0 to 30. A POST waits for 10 by default, and
//! for at least one, so that it returns a refusal. `runs/{run}` does not wait by default. A run
//! that takes longer goes on: the answer is 202, and `Location` says where to look. A run that
//! failed was made, so that is 200 with a report whose `success` is false.
//!
//! # Errors
//!
//! Each error of `api`, `events` and `health` is a problem of RFC 9457 (`application/problem+json`)
//! with a `kind` for programs and a `detail` for people; what the housekeeper refused comes with
//! the [`RequestError`](crate::RequestError). A page says what went wrong as HTML, with the same
//! status.
//!
//! | status | `kind` |
//! |---|---|
//! | 400 | `bad_request`: what was sent cannot be read |
//! | 403 | `read_only`: the host did not switch actions on; `not_allowed`: the host refuses this action; `cross_site`: a browser was sent here by another site; `no_previews` |
//! | 404 | `not_found`, `unknown_job`, `unknown_run`, `no_courier` |
//! | 421 | `unknown_host`: the application did not list this name with [`Web::with_hosts`] |
//! | 405, 413, 415 | `method_not_allowed`, `too_large` (a body over 16 kB), `not_json`, or `not_form` of a form |
//! | 409 | `off`; `other_run`: the run to cancel is not in progress; `paused_for_all`: resume it for all replicas; `no_shared_history`: nothing could keep such a pause |
//! | 422 | `scope`, `page`, `unprocessable`: what was read cannot be |
//! | 429 | `too_many_scopes` |
//! | 502 | `failed`: the database did not answer the housekeeper |
//! | 504 | `read_timeout`: the database did not answer a read in time |
//! | 503 | `busy`, `too_many_streams`, `shutting_down`, `not_answering`, `never_started`, `stopped`, `unhealthy` |
//!
//! An answer from memory comes within a second, or is `not_answering`. A read of a database ends
//! within [`JobConfig::read_timeout`](crate::config::JobConfig::read_timeout), 10 s by default and
//! its wait included: a preview is then `read_timeout`, and a history comes from memory. Reads of
//! one job and kind wait for each other, and at most two previews and one read of each other kind
//! are in progress. Beyond 16 a preview is `busy`, and a history comes from memory. The router
//! waits 50 s for a read; beyond that it is `not_answering`.
//!
//! # Which health for whom
//!
//! `health/live` says whether an orchestrator should restart the process. While a supervisor starts
//! the housekeeper again it is 503 for a moment, so let the probe fail more than once.
//! `health/ready` says whether to send traffic, and so nothing of jobs: a cleaning job that fails
//! would take every replica of the host out of service, over rows that can wait. `health/jobs` is
//! for the alert of the person on call; it names the jobs that are late, failing or degraded, and
//! `api/v1/status` says why. [`Web::health`] is a router of these paths alone, for probes without a
//! password.
//!
//! # Who may do what
//!
//! Requests that change something need [`Web::with_actions`] and are refused when a browser was
//! sent by another site (by `Sec-Fetch-Site`, else by `Origin`). That is no authentication:
//! everyone who reaches the router may use it. A host decides further with [`Web::allow`], per
//! action and job, and names who acts: a [`Requester`](crate::Requester) among the request's
//! extensions reaches reports, events, the history, the status and the log. A graceful shutdown of
//! the host's server waits for streams, which end with the housekeeper: stop the housekeeper first.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::request::Parts;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::get;
use ractor::ActorRef;

use crate::actors::HousekeeperMsg;
use crate::job::JobName;

use address::Address;
use allow::Allow;
use hosts::Hosts;
use hub::Hub;
use page::confirm;
use privacy::Privacy;
use site::Site;

mod acting;
mod actions;
mod address;
mod allow;
mod api;
mod assets;
mod client;
mod couriers;
mod done;
mod events;
mod extract;
mod format;
mod headers;
mod health;
mod hosts;
mod hub;
mod json;
mod links;
mod origin;
mod page;
mod params;
mod privacy;
mod problem;
mod seats;
mod shows;
mod site;

pub use allow::Action;
pub use privacy::Sensitive;

/// A page to watch a housekeeper by, and to steer it if the host allows that.
#[derive(Debug, Clone)]
pub struct Web {
    address: Address,
    actions: bool,
    allow: Allow,
    hosts: Option<Hosts>,
    privacy: Privacy,
}

impl Web {
    /// A page that only reads, of this housekeeper.
    ///
    /// Once it has stopped, the page stays `stopped`, even if another is started in its place:
    /// see [`Web::named`].
    #[must_use]
    pub fn new(housekeeper: impl Into<ActorRef<HousekeeperMsg>>) -> Self {
        Self {
            address: Address::One(housekeeper.into()),
            actions: false,
            allow: Allow::default(),
            hosts: None,
            privacy: Privacy::default(),
        }
    }

    /// A page that only reads, of the housekeeper that has this name when it is asked for. It need
    /// not run yet.
    ///
    /// The name is looked up for each request, so the page outlives a housekeeper that its
    /// supervisor starts again. While there is none, the answer is 503: `stopped`, or
    /// `never_started` if none of this name ever was in this process.
    ///
    /// ```no_run
    /// use axum::Router;
    /// use ractor_housekeeper::web::Web;
    ///
    /// let web = Web::named("housekeeper").router();
    /// let application: Router = Router::new().nest("/admin/housekeeping", web);
    /// ```
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            address: Address::Name(name.into()),
            actions: false,
            allow: Allow::default(),
            hosts: None,
            privacy: Privacy::default(),
        }
    }

    /// Lets everyone who reaches the router run, cancel, pause and resume jobs, and redeliver and
    /// discard parked entries. Put an authentication around it, and list the names under which it
    /// is served with [`with_hosts`](Web::with_hosts): until then it answers to names of this
    /// machine only, such as `localhost`.
    #[must_use]
    pub fn with_actions(mut self) -> Self {
        self.actions = true;
        self
    }

    /// Lists the names under which the router is served, as browsers send them in `Host`: behind a
    /// proxy that rewrites `Host`, the name that it sends. A name without a port has any. Requests
    /// to another name are answered with 421 `unknown_host`, except those of probes.
    ///
    /// A page of another site whose name resolves to this machine (DNS rebinding) could otherwise
    /// read and act as the visitor. Default: names of this machine if actions are enabled, else
    /// any.
    ///
    /// ```
    /// use ractor_housekeeper::web::Web;
    ///
    /// let web = Web::named("housekeeper")
    ///     .with_actions()
    ///     .with_hosts(["admin.example.com", "localhost"]);
    /// ```
    #[must_use]
    pub fn with_hosts(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hosts = Some(Hosts::new(names));
        self
    }

    /// Shows no previews: they are 403 `no_previews`, and the page has no links to them. Payloads
    /// of parked entries read `hidden`.
    #[must_use]
    pub fn without_previews(mut self) -> Self {
        self.privacy.without_previews = true;
        self
    }

    /// Shows no ids of rows: reports list none, rejected and previewed rows, their details and
    /// payloads of parked entries read `hidden`, and a preview has one page, because a cursor holds
    /// an id. Users and the texts of errors, which may quote an id, stay:
    /// [`redact`](Self::redact) rewrites them.
    #[must_use]
    pub fn without_ids(mut self) -> Self {
        self.privacy.without_ids = true;
        self
    }

    /// Rewrites each text that may hold personal data before the router shows it, on the page, as
    /// JSON and in streams. A text over which it panics reads `hidden`. Logs, events and the
    /// history are not affected, and neither is the cursor of a preview, which holds the id of a
    /// row.
    ///
    /// ```
    /// use ractor_housekeeper::web::{Sensitive, Web};
    ///
    /// let web = Web::named("housekeeper").redact(|kind, text| match kind {
    ///     Sensitive::User | Sensitive::Error => "***".to_owned(),
    ///     _ => text.to_owned(),
    /// });
    /// ```
    #[must_use]
    pub fn redact(
        mut self,
        rewrite: impl Fn(Sensitive, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        self.privacy.redact = Some(Arc::new(rewrite));
        self
    }

    /// Decides on each action, by the request, the action and the job. Refused ones answer 403
    /// `not_allowed`. Without it, everything is allowed once [`with_actions`](Web::with_actions)
    /// enables actions.
    ///
    /// A run of all jobs is refused if one of them is. The page shows the buttons of what is
    /// allowed. A decision that panics refuses.
    ///
    /// ```
    /// use axum::Extension;
    /// use ractor_housekeeper::Requester;
    /// use ractor_housekeeper::web::{Action, Web};
    ///
    /// let web = Web::named("housekeeper").with_actions().allow(|parts, action, job| {
    ///     let operator = parts.extensions.get::<Requester>();
    ///     action != Action::Run || job.as_str() != "invoice-cleaner" || operator.is_some()
    /// });
    /// // The host's authentication inserts the extension; this one knows a single person.
    /// let router: axum::Router = web.router().layer(Extension(Requester::new("anna")));
    /// ```
    #[must_use]
    pub fn allow(
        mut self,
        decide: impl Fn(&Parts, Action, &JobName) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.allow = Allow::new(decide);
        self
    }

    /// Only the paths below `health`, for probes that cannot authenticate. They show states, and
    /// neither rows nor reasons.
    pub fn health(&self) -> Router {
        let site = Arc::new(self.site());
        health_paths()
            .fallback(problem::not_found)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(map_response(headers::secure))
            .with_state(site)
    }

    /// The router, to be nested in the host's. Needs no state, and starts nothing until it is
    /// asked.
    pub fn router(&self) -> Router {
        let site = Arc::new(self.site());
        let acts = Router::new()
            .route("/run", get(confirm::confirm_all).post(confirm::submit_all))
            .route(
                "/jobs/{job}/{act}",
                get(confirm::confirm).post(confirm::submit),
            )
            .route(
                "/couriers/{rule}/{act}",
                get(page::parked::confirm).post(page::parked::submit),
            );
        let acts = acts.route_layer(from_fn_with_state(site.clone(), actions::if_allowed));
        Router::new()
            .merge(acts)
            .route("/", get(page::overview))
            .route("/jobs/{job}", get(page::job))
            .route("/jobs/{job}/preview", get(page::preview))
            .route("/runs/{run}", get(page::run))
            .route("/jobs/{job}/card", get(page::card_of))
            .route("/couriers/{rule}", get(page::parked::courier))
            .nest(api::ROOT, api::router(&site))
            .route("/events", get(events::stream))
            .merge(health_paths())
            .route("/assets/{file}", get(assets::asset))
            .fallback(problem::not_found)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .layer(from_fn_with_state(site.clone(), origin::guard))
            .layer(from_fn(page::errors_as_pages))
            .layer(map_response(headers::secure))
            .with_state(site)
    }

    fn site(&self) -> Site {
        Site {
            address: self.address.clone(),
            actions: self.actions,
            allow: self.allow.clone(),
            hosts: self.hosts.clone(),
            privacy: self.privacy.clone(),
            hub: Hub::default(),
        }
    }
}

fn health_paths() -> Router<Arc<Site>> {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/jobs", get(health::jobs))
}

/// The largest body: the ids of about two thousand parked entries.
const LARGEST_BODY: usize = 16 * 1024;
