"use strict";
// Keeps a page current: asks for it again and again, and takes over what has changed, as long as what comes has this
// script, too. Everything comes as a document that the server escaped; no text is ever made into markup here.
(() => {
  const EVERY_MS = 2000;
  const PATIENCE_MS = 5000;

  function documentAt(url) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("GET", url);
      request.responseType = "document";
      request.timeout = PATIENCE_MS;
      request.onload = () => resolve({ status: request.status, body: request.response });
      request.onerror = request.ontimeout = () => reject(new Error("no answer"));
      request.send();
    });
  }

  // What a person does with the page is not the server's to undo.
  const OWN = new Set(["open"]);

  function takeOver(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(document.adoptNode(fresh));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !OWN.has(name)) old.removeAttribute(name);
    }
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const olds = [...old.childNodes];
    const freshes = [...fresh.childNodes];
    freshes.forEach((node, index) => {
      if (index < olds.length) takeOver(olds[index], node);
      else old.append(document.adoptNode(node));
    });
    olds.slice(freshes.length).forEach((node) => node.remove());
  }

  const pointing = window.matchMedia("(hover: hover)");

  // A list that moves away under the pointer is of no use to anybody.
  function isPointedAt(section) {
    const pointedAt = pointing.matches && section.matches(":hover");
    return pointedAt || section.querySelector(":focus-visible") !== null;
  }

  let changes = true;

  function show(fresh) {
    for (const section of fresh.querySelectorAll("#main > *")) {
      const old = document.getElementById(section.id);
      if (old === null) continue;
      if (old.hasAttribute("data-still") && isPointedAt(old)) {
        old.setAttribute("data-paused", "");
        continue;
      }
      takeOver(old, section);
    }
    for (const id of ["about", "as-of"]) {
      const old = document.getElementById(id);
      if (old !== null) takeOver(old, fresh.getElementById(id));
    }
    document.title = fresh.title;
    changes = fresh.querySelector("script") !== null;
  }

  let lostAt = null;

  function tellLost(lost) {
    if (!lost) lostAt = null;
    else if (lostAt === null) lostAt = new Date();
    document.body.classList.toggle("lost", lost);
    document.getElementById("lost").textContent = lost
      ? `No answer since ${lostAt.toISOString().slice(11, 19)} UTC: what is shown is old`
      : "";
  }

  async function refresh() {
    if (document.hidden || !changes) return;
    try {
      const { status, body } = await documentAt(window.location.href);
      if (status === 429) return;
      if (status !== 200 || body === null || body.getElementById("main") === null) throw new Error("no page");
      show(body);
      tellLost(false);
    } catch {
      tellLost(true);
    }
  }

  async function keepCurrent() {
    while (changes) {
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      await refresh();
    }
  }

  const why = document.getElementById("why");

  async function explain(link) {
    const { body } = await documentAt(link.href);
    const article = body.getElementById("explanation");
    document.getElementById("why-body").replaceChildren(document.adoptNode(article));
    why.showModal();
    why.scrollTop = 0;
  }

  function openExplanations() {
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-explain]");
      if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      explain(link).catch(() => window.location.assign(link.href));
    });
    document.getElementById("why-close").addEventListener("click", () => why.close());
    why.addEventListener("click", (event) => {
      if (event.target === why) why.close();
    });
  }

  if (why !== null) openExplanations();
  document.addEventListener("visibilitychange", refresh);
  keepCurrent();
})();
