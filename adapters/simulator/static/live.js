// Keeps a page current: one event stream says that something changed, then each part marked
// data-live is fetched again. Forms marked data-quiet are sent without leaving the page.
"use strict";

function atEnd(part) {
  return part.scrollHeight - part.scrollTop - part.clientHeight < 80;
}

function toEnd(part) {
  part.scrollTop = part.scrollHeight;
}

function openParts(part) {
  return new Set([...part.querySelectorAll("details[open][id]")].map((details) => details.id));
}

// The newest question for each part: an older one may be answered after it.
const newest = new Map();

async function refresh(part) {
  const turn = (newest.get(part) ?? 0) + 1;
  newest.set(part, turn);
  const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const text = await answer.text();
  if (turn !== newest.get(part)) return;
  if (text === part.dataset.shown) return;
  // Any part may take room from one that is to stay at its end.
  const atTheirEnd = [...document.querySelectorAll("[data-keep-end]")].filter(atEnd);
  const open = openParts(part);
  part.dataset.shown = text;
  part.innerHTML = text;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  atTheirEnd.forEach(toEnd);
}

function refreshAll() {
  const parts = [...document.querySelectorAll("[data-live]")];
  return Promise.all(parts.map((part) => refresh(part).catch(() => {})));
}

function showState(connected) {
  for (const sign of document.querySelectorAll("[data-live-state]")) {
    sign.classList.toggle("lost", !connected);
    sign.textContent = connected ? "实时更新已连接" : "连接已断开，正在重试";
  }
}

function listen(url) {
  const source = new EventSource(url);
  source.onopen = () => showState(true);
  source.onmessage = refreshAll;
  source.onerror = () => showState(false);
}

async function send(form, submitter) {
  const fields = new URLSearchParams(new FormData(form));
  if (submitter?.name) fields.set(submitter.name, submitter.value);
  const typed = form.querySelector("input[name=content]");
  if (typed) typed.value = "";
  const buttons = typed ? [] : form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  submitter?.setAttribute("aria-busy", "true");
  try {
    await fetch(form.action, { method: "POST", body: fields });
  } finally {
    // What was sent may have replaced the form; only one that is still there is used again.
    await refreshAll();
    for (const button of buttons) button.disabled = false;
    submitter?.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  if (!("quiet" in event.target.dataset)) return;
  event.preventDefault();
  for (const part of document.querySelectorAll("[data-keep-end]")) toEnd(part);
  send(event.target, event.submitter).catch(() => {});
});

document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-fill]");
  const input = document.querySelector("input[name=content]");
  if (!chip || !input) return;
  input.value = chip.dataset.fill;
  input.focus();
});

for (const part of document.querySelectorAll("[data-keep-end]")) toEnd(part);
if (document.body.dataset.stream) listen(document.body.dataset.stream);
