/*
  Counts down to a deadline, from the seconds that the service said were left: clocks of phones are
  wrong. When they are over nothing stays that could be pressed, also on a page left open overnight,
  and the page is asked for as it is now (web/open_page.py). Without this script the answer to a
  pressed button says the truth.
*/
"use strict";
(() => {
  let known = null, over = 0, asked = Date.now();

  const two = (number) => String(number).padStart(2, "0");

  const words = (left) => {
    const hours = Math.floor(left / 3600), minutes = Math.floor(left / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
  };

  const show = (id, isShown) => {
    const element = document.getElementById(id);
    if (element) element.hidden = !isShown;
  };

  const tick = () => {
    const element = document.querySelector("[data-seconds-left]");
    if (!element) return show("over", false);
    if (element !== known) {  // new, or just brought by the service
      known = element;
      // From when it was asked for: an answer may lie for a night in a phone that sleeps.
      over = asked + Number(element.dataset.secondsLeft) * 1000;
    }
    const left = Math.max(0, Math.ceil((over - Date.now()) / 1000));
    const isOver = left === 0;
    element.textContent = isOver ? element.dataset.over : element.dataset.words.replace("{}", words(left));
    show("actions", !isOver);
    show("over", isOver);
    const page = document.getElementById("live");
    if (isOver && page && !page.dataset.asked) {
      page.dataset.asked = "1";
      page.dispatchEvent(new CustomEvent("due"));
    }
  };

  document.addEventListener("htmx:beforeRequest", (event) => { event.detail.xhr.asked = Date.now(); });
  document.addEventListener("htmx:beforeOnLoad", (event) => { asked = event.detail.xhr.asked; });
  addEventListener("pageshow", tick);
  document.addEventListener("visibilitychange", tick);
  document.addEventListener("htmx:afterSettle", tick);
  setInterval(tick, 1000);
  tick();
})();
