"use strict";
// The page works without this script. With it, it follows the housekeeper, asks before it acts, and shows the answer in place.
// HTML from the server was escaped there; all else is written with textContent.

const root = document.documentElement.dataset.root;
// Not relative to the page: its address may hold a password, which a request must not.
const base = new URL(root, location.origin + location.pathname);
const at = (path) => new URL(path, base).href;
const jobs = document.getElementById("jobs");
const link = document.getElementById("link");
const answer = document.getElementById("answer");

// --- Times that go on by themselves, by the server's clock.

let ahead = 0; // of our clock, in milliseconds

function setClock(element) {
  if (element?.dataset.now) ahead = Date.parse(element.dataset.now) - Date.now();
}

// The two largest units, as the server writes them; the server rounds beyond 30 days, and this counts on.
function span(seconds) {
  const two = (large, unit, small, rest) => (small ? `${large}${unit} ${small}${rest}` : `${large}${unit}`);
  const of = (unit) => Math.floor(seconds / unit);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return two(of(60), "m", seconds % 60, "s");
  if (seconds < 86400) return two(of(3600), "h", of(60) % 60, "m");
  return two(of(86400), of(86400) === 1 ? "day" : "days", of(3600) % 24, "h");
}

function countOn() {
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("time[data-since], time[data-until], time[data-lasting]")) {
    const seconds = Math.trunc((Date.parse(time.dateTime) - now) / 1000);
    let text = span(Math.max(0, -seconds));
    if ("since" in time.dataset) text += " ago";
    if ("until" in time.dataset) text = seconds > 0 ? `in ${span(seconds)}` : "now";
    if (time.textContent !== text) time.textContent = text;
  }
  for (const time of document.querySelectorAll("time[data-clock]")) showLocal(time);
}

const local = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const isUtc = new Date().getTimezoneOffset() === 0;

// 14:05 local, 12:05 UTC
function showLocal(time) {
  const instant = new Date(time.dateTime);
  const utc = `${instant.toISOString().slice(11, 16)} UTC`;
  const text = isUtc ? utc : `${local.format(instant)} local, ${utc}`;
  if (time.textContent !== text) time.textContent = text;
}

// --- Taking over a fresh copy of a part, touching only what differs: focus, selections and what was typed stay.

function takeOver(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  // Whether details are open is up to who reads them.
  const names = new Set([...old.getAttributeNames(), ...fresh.getAttributeNames()]);
  names.delete("open");
  for (const name of names) {
    const value = fresh.getAttribute(name);
    if (value === null) old.removeAttribute(name);
    else if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  // Parts with a key are the same where their keys are, all others where they stand.
  const key = (node) => node.dataset?.key;
  const kept = new Map([...old.childNodes].filter(key).map((node) => [key(node), node]));
  const keys = new Set([...fresh.childNodes].map(key));
  for (const child of [...old.childNodes]) if (!keys.has(key(child))) child.remove();
  let next = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = key(child) ? kept.get(key(child)) : next && !key(next) ? next : null;
    if (!same) old.insertBefore(child, next);
    else {
      if (same === next) next = next.nextSibling;
      else move(same, old, next);
      takeOver(same, child);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

// A part that moves keeps the focus.
function move(node, parent, next) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, next);
  focused?.focus({ preventScroll: true });
}

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// --- Frames. A browser opens few connections to a host, so the visible pages of this housekeeper
// share one stream, and a hidden page has none.

let source = null;
let release = null; // gives up the stream, or the wait for it
let seen = null; // runs that ended, of the job of this page
let lastEvent = Date.now();
let newest = null;
const name = `housekeeper ${base.href}`;
// Where there are no locks (no TLS), each visible page has a stream of its own.
const channel = navigator.locks && window.BroadcastChannel ? new BroadcastChannel(name) : null;

function say(state, text) {
  link.dataset.state = state;
  if (link.textContent !== text) link.textContent = text;
}

function join() {
  if (document.hidden || release) return;
  lastEvent = Date.now();
  if (!channel) {
    release = () => {};
    return follow();
  }
  const waiting = new AbortController();
  release = () => waiting.abort();
  channel.postMessage("newest?");
  const hold = () =>
    new Promise((done) => {
      if (waiting.signal.aborted) return done();
      release = done;
      follow();
    });
  navigator.locks.request(name, { signal: waiting.signal }, hold).catch(() => {});
}

function leave() {
  release?.();
  release = null;
  source?.close();
  source = null;
}

function follow() {
  source?.close();
  lastEvent = Date.now();
  const mine = new EventSource(at("events"));
  source = mine;
  mine.onmessage = (event) => {
    newest = event.data;
    channel?.postMessage({ frame: newest });
    take(newest);
  };
  mine.onerror = async () => {
    lose();
    // A refusal ends an EventSource for good; a broken connection it mends by itself.
    if (mine.readyState !== EventSource.CLOSED) return;
    const { signedOut, text } = await ask("api/v1/status");
    if (source !== mine) return;
    if (signedOut) return say("lost", text);
    setTimeout(() => source === mine && follow(), 5000);
  };
}

channel?.addEventListener("message", ({ data }) => {
  if (data.frame) take(data.frame);
  else if (source && newest) channel.postMessage({ frame: newest });
});

function take(data) {
  if (document.hidden) return;
  lastEvent = Date.now();
  const frame = JSON.parse(data);
  const fresh = parse(frame.html);
  show(fresh.getElementById("jobs"), fresh.getElementById("sum"));
  const [couriers, now] = [document.getElementById("couriers"), fresh.getElementById("couriers")];
  if (couriers && now) {
    takeOver(couriers, rooted(now));
    // Those that need a person come before the jobs.
    const needed = couriers.matches(".trouble");
    const above = Boolean(couriers.compareDocumentPosition(jobs) & Node.DOCUMENT_POSITION_FOLLOWING);
    if (needed !== above) move(couriers, jobs.parentNode, needed ? jobs : jobs.nextSibling);
  }
  say("live", "Live");
  const job = jobs.classList.contains("single") && jobs.firstElementChild?.dataset.job;
  if (job) {
    const ended = frame.ended[job] ?? 0;
    if (seen !== null && ended !== seen) refreshHistory();
    seen = ended;
  }
}

function lose() {
  seen = -1; // runs may end unnoticed
  say("lost", "Connection lost, trying again");
}

// Links in a frame begin at the root of the router; runbooks are elsewhere.
function rooted(fresh) {
  for (const attribute of ["href", "action"]) {
    for (const node of fresh.querySelectorAll(`[${attribute}]`)) {
      const to = node.getAttribute(attribute);
      if (!/^https?:/.test(to)) node.setAttribute(attribute, root + to);
    }
  }
  return fresh;
}

// Buttons that the host does not allow this visitor, by job.
const refused = JSON.parse(document.getElementById("refused")?.dataset.refused ?? "{}");

function leaveOut(fresh) {
  for (const [job, actions] of Object.entries(refused)) {
    const card = [...fresh.children].find((card) => card.dataset.job === job);
    for (const action of actions) card?.querySelector(`form.act.${action}`)?.remove();
  }
}

function show(fresh, sum) {
  leaveOut(fresh);
  rooted(fresh);
  if (jobs.classList.contains("single")) {
    const job = jobs.firstElementChild?.dataset.job;
    const card = [...fresh.children].find((card) => card.dataset.job === job);
    // The overview has a row for a healthy job.
    if (card?.matches(".row, .short")) return refreshCard(job);
    fresh.replaceChildren(...(card ? [card] : []));
    fresh.className = jobs.className;
  }
  takeOver(jobs, fresh);
  const old = document.getElementById("sum");
  if (old && sum) {
    takeOver(old, sum);
    document.title = `${sum.dataset.title} · Housekeeping`;
  }
  applyFilter();
  setClock(jobs);
  countOn();
}

let refreshingCard = false;

async function refreshCard(job) {
  if (refreshingCard) return;
  refreshingCard = true;
  const card = await fetch(at(`jobs/${encodeURIComponent(job)}/card`)).then((response) => response.text(), () => "");
  const fresh = parse(card).getElementById("jobs");
  if (fresh) show(fresh);
  setTimeout(() => (refreshingCard = false), 500);
}

let refreshing = false;
let again = false;

// One at a time, and at most every two seconds: each asks the database.
function refreshHistory() {
  again = true;
  if (refreshing) return;
  refreshing = true;
  setTimeout(async () => {
    again = false;
    await loadHistory(location.pathname + location.search);
    refreshing = false;
    if (again) refreshHistory();
  }, 2000);
}

// A part of a page as the server has it now; nothing if it does not answer.
async function fetched(url, id) {
  const page = await fetch(new URL(url, location.origin + location.pathname)).then((response) => response.text(), () => "");
  return parse(page).getElementById(id);
}

async function loadHistory(url) {
  const fresh = await fetched(url, "history");
  const old = document.getElementById("history");
  // A history that is late again must not hide the one that is there.
  if (fresh && (!fresh.dataset.pending || old.dataset.pending)) takeOver(old, fresh);
}

// --- The filter of the overview. Without this script, its button asks the server.

const filter = document.getElementById("filter");

function applyFilter() {
  if (!filter) return;
  const [state, part] = [filter.elements.state.value, filter.elements.name.value.trim().toLowerCase()];
  let shown = 0;
  for (const job of jobs.children) {
    const states = job.dataset.states.split(" ");
    job.hidden = (state !== "" && !states.includes(state)) || !job.dataset.job.toLowerCase().includes(part);
    if (!job.hidden) shown += 1;
  }
  const text = shown === jobs.children.length ? "" : `${shown} of ${jobs.children.length} jobs shown`;
  const line = document.getElementById("shown");
  if (line.textContent !== text) line.textContent = text;
}

filter?.addEventListener("input", applyFilter);
filter?.addEventListener("submit", (event) => event.preventDefault());

// --- Actions: a question, a request, the answer.

const dialog = document.getElementById("ask");
const part = (id) => document.getElementById(`ask-${id}`);
let asking = null;

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset?.api) return;
  event.preventDefault();
  const { api, title, consequence, count, body } = form.dataset;
  const user = form.elements.user?.value ?? "";
  const mine = { api, user, run: form.elements.run?.value, body };
  asking = mine;
  const act = count ? `${title} for ${user ? `user ${user}` : "all users"}` : title;
  part("title").textContent = `${act}?`;
  part("yes").textContent = act;
  part("consequence").textContent = consequence;
  part("due").hidden = !count;
  if (count) {
    part("due").textContent = "Counting the due rows …";
    dueRows(count, user).then((text) => {
      if (asking === mine) part("due").textContent = text;
    });
  }
  dialog.returnValue = "no";
  dialog.showModal();
  part("no").focus();
});

async function dueRows(path, user) {
  const { body, ok, text } = await ask(user ? `${path}&user=${encodeURIComponent(user)}` : path);
  if (!ok) return `The number of due rows is not known: ${text}`;
  const { count, capped } = body.due;
  if (capped) return `More than ${count} rows are due now.`;
  return count === 1 ? "1 row is due now." : `${count || "No"} rows are due now.`;
}

dialog.addEventListener("close", () => {
  if (dialog.returnValue === "yes" && asking) act(asking);
  asking = null;
});

// One request, and what came of it as a sentence. The status is read before the body, which need not be ours.
async function ask(path, request = {}) {
  const unknown = request.method === "POST" ? " Whether it was done, the page will show." : "";
  let response;
  try {
    response = await fetch(at(path), { ...request, redirect: "manual" });
  } catch {
    return { ok: false, text: `There was no answer.${unknown}` };
  }
  const kind = response.headers.get("content-type") ?? "";
  const ours = /^application\/(problem\+)?json/.test(kind);
  const signedOut = response.type === "opaqueredirect" || (!ours && [200, 401, 403, 407].includes(response.status));
  if (signedOut) return { ok: false, signedOut, text: "You are signed out: nothing was done. Reload the page to sign in." };
  const said = `${response.status} ${response.statusText}`.trim();
  if (!ours) {
    const text = response.status >= 500 ? `The server answered ${said}.${unknown}` : `The server answered ${said}: nothing was done.`;
    return { ok: false, text };
  }
  const body = await response.json().catch(() => null);
  if (body === null) return { ok: false, text: `The answer broke off.${unknown}` };
  return { ok: response.ok, body, text: body.message ?? body.detail ?? said };
}

async function act({ api, user, run, body: given }) {
  notify("busy", "The request is on its way …");
  const request = { method: "POST" };
  if (user || given) {
    request.headers = { "Content-Type": "application/json" };
    request.body = given ?? JSON.stringify({ scope: { user } });
  }
  const { ok, body, text } = await ask(run ? `${api}?run=${encodeURIComponent(run)}` : api, request);
  const reports = body?.reports ?? [body];
  const failed = !ok || reports.some((report) => report?.success === false);
  const sentences = body?.reports ? reports.map((report) => report.message) : [text];
  if (body?.left_out?.length) sentences.push(`Left out because paused: ${body.left_out.join(", ")}`);
  notify(failed ? "bad" : "good", ...sentences);
  // No frame shows parked entries.
  const courier = document.getElementById("courier");
  const fresh = courier && (await fetched(location.pathname + location.search, "courier"));
  if (fresh) takeOver(courier, fresh);
}

function notify(state, ...sentences) {
  answer.dataset.state = state;
  answer.replaceChildren(
    ...sentences.map((sentence) => {
      const line = document.createElement("p");
      line.textContent = sentence;
      return line;
    }),
  );
  if (state === "busy") return;
  const close = document.createElement("button");
  close.textContent = "Close";
  close.addEventListener("click", () => notify.clear());
  answer.append(close);
}

notify.clear = () => {
  answer.replaceChildren();
  delete answer.dataset.state;
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !dialog.open) notify.clear();
});

// --- Begin.

const pending = document.getElementById("history")?.dataset.pending;
if (pending) loadHistory(pending);
if (jobs) {
  setClock(jobs);
  applyFilter();
  countOn();
  setInterval(countOn, 1000);
  // Frames come at least every five seconds; a connection that is silent for longer may be dead without saying so.
  setInterval(() => {
    if (!release || Date.now() - lastEvent <= 15000) return;
    lose();
    follow();
  }, 5000);
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : join()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", join);
  join();
} else {
  link.hidden = true;
}
