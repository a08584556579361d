"use strict";
// The page works without this script. With it, it follows the housekeeper, asks before it acts, and shows the answer in place.
// What comes from the server as HTML was escaped there; all else is written with textContent.

const root = document.documentElement.dataset.root;
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
  // Parts with a key are the same where their keys are, all others where they stand. What is new is put in between, and nothing is moved.
  const key = (node) => node.dataset?.key;
  const keys = new Set([...fresh.childNodes].map(key));
  for (const child of [...old.childNodes]) if (!keys.has(key(child))) child.remove();
  let next = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    if (next && key(next) === key(child)) {
      const same = next;
      next = next.nextSibling;
      takeOver(same, child);
    } else old.insertBefore(child, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// --- News.

let source = null;
let seen = null; // runs that ended, of the job of this page
let heard = Date.now();

function say(state, text) {
  link.dataset.state = state;
  if (link.textContent !== text) link.textContent = text;
}

function follow() {
  source?.close();
  heard = Date.now();
  const mine = new EventSource(`${root}events`);
  source = mine;
  mine.onmessage = (event) => {
    heard = Date.now();
    const frame = JSON.parse(event.data);
    show(parse(frame.html).getElementById("jobs"));
    say("live", "Live");
    const job = jobs.classList.contains("single") && jobs.firstElementChild?.dataset.job;
    if (job) {
      const ended = frame.ended[job] ?? 0;
      if (seen !== null && ended !== seen) refreshHistory();
      seen = ended;
    }
  };
  mine.onerror = () => {
    lose();
    // A refusal ends an EventSource for good; a broken connection it mends by itself.
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => source === mine && follow(), 5000);
  };
}

function lose() {
  seen = -1; // runs may end unheard
  say("lost", "Connection lost, trying again");
}

function show(fresh) {
  // Links in it begin at the root of the router.
  for (const at of fresh.querySelectorAll("[href]")) at.setAttribute("href", root + at.getAttribute("href"));
  for (const at of fresh.querySelectorAll("[action]")) at.setAttribute("action", root + at.getAttribute("action"));
  if (jobs.classList.contains("single")) {
    const job = jobs.firstElementChild?.dataset.job;
    const card = [...fresh.children].find((card) => card.dataset.job === job);
    fresh.replaceChildren(...(card ? [card] : []));
    fresh.className = jobs.className;
  }
  takeOver(jobs, fresh);
  setClock(jobs);
  countOn();
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
    await loadHistory(location.href);
    refreshing = false;
    if (again) refreshHistory();
  }, 2000);
}

async function loadHistory(url) {
  const page = await fetch(url).then((response) => response.text(), () => "");
  const fresh = parse(page).getElementById("history");
  const old = document.getElementById("history");
  // A history that is late again must not hide the one that is there.
  if (fresh && (!fresh.dataset.pending || old.dataset.pending)) takeOver(old, fresh);
}

// --- Actions: a question, a request, the answer.

const dialog = document.getElementById("ask");
let asking = null;

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset?.api) return;
  event.preventDefault();
  asking = { api: form.dataset.api, user: form.elements.user?.value.trim() ?? "" };
  document.getElementById("ask-question").textContent = form.dataset.question;
  document.getElementById("ask-consequence").textContent = form.dataset.consequence;
  const scope = document.getElementById("ask-scope");
  scope.hidden = asking.user === "";
  scope.textContent = `Only rows of user ${asking.user}.`;
  dialog.returnValue = "no";
  dialog.showModal();
  document.getElementById("ask-yes").focus();
});

dialog.addEventListener("close", () => {
  if (dialog.returnValue === "yes" && asking) act(asking);
  asking = null;
});

async function act({ api, user }) {
  tell("busy", "Asked the housekeeper …");
  const request = { method: "POST" };
  if (user) {
    request.headers = { "Content-Type": "application/json" };
    request.body = JSON.stringify({ scope: { user } });
  }
  try {
    const response = await fetch(root + api, request);
    const body = await response.json();
    const parts = Array.isArray(body) ? body : [body];
    const failed = !response.ok || parts.some((part) => part.success === false);
    tell(failed ? "bad" : "good", ...parts.map((part) => part.message ?? part.detail ?? response.statusText));
  } catch {
    tell("bad", "There was no answer. Whether it was done, the page will show.");
  }
}

function tell(state, ...sentences) {
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
  close.addEventListener("click", () => tell.clear());
  answer.append(close);
}

tell.clear = () => {
  answer.replaceChildren();
  delete answer.dataset.state;
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !dialog.open) tell.clear();
});

// --- Begin.

const pending = document.getElementById("history")?.dataset.pending;
if (pending) loadHistory(pending);
if (jobs) {
  setClock(jobs);
  setInterval(countOn, 1000);
  // Frames come at least every five seconds; a connection that is silent for longer may be dead without saying so.
  setInterval(() => {
    if (Date.now() - heard <= 15000) return;
    lose();
    follow();
  }, 5000);
  follow();
} else {
  link.hidden = true;
}
