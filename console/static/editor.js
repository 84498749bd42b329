// The editor of the configuration: line numbers, and while one types, what is wrong and what it would change.
"use strict";

const form = document.getElementById("editor");
const text = document.getElementById("text");
const lines = document.getElementById("lines");
const problems = document.getElementById("problems");
const changes = document.getElementById("changes");
const WAIT_MS = 300;
let waiting = 0;
let asked = 0;

function number(wrong) {
  const count = text.value.split("\n").length;
  const numbers = [];
  for (let n = 1; n <= count; n += 1) {
    const line = document.createElement("span");
    line.textContent = wrong.has(n) ? `✗${String(n).padStart(4)}\n` : `${String(n).padStart(5)}\n`;
    if (wrong.has(n)) line.className = "wrong";
    numbers.push(line);
  }
  lines.replaceChildren(...numbers);
  lines.scrollTop = text.scrollTop;
}

function go(line) {
  const before = text.value.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  const end = text.value.indexOf("\n", before);
  text.focus();
  text.setSelectionRange(before, end === -1 ? text.value.length : end);
  text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight));
}

function item(problem) {
  const made = document.createElement("li");
  if (problem.line !== null) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "line";
    button.textContent = `${form.dataset.line} ${problem.line}`;
    button.addEventListener("click", () => go(problem.line));
    made.append(button, ": ");
  }
  if (problem.key) {
    const key = document.createElement("code");
    key.textContent = problem.key;
    made.append(key, ": ");
  }
  made.append(problem.reason);
  return made;
}

function listed(words) {
  const made = document.createElement("li");
  made.textContent = words;
  return made;
}

function show(found) {
  number(new Set(found.problems.map((problem) => problem.line)));
  text.setAttribute("aria-invalid", String(found.problems.length > 0));
  if (found.problems.length === 0) {
    problems.textContent = form.dataset.good;
    const words = found.changes.length > 0 ? found.changes : [form.dataset.same];
    changes.replaceChildren(...words.map(listed));
    return;
  }
  const list = document.createElement("ul");
  list.className = "problems";
  list.append(...found.problems.map(item));
  problems.replaceChildren(list);
  changes.replaceChildren();
}

async function check() {
  asked += 1;
  const mine = asked;
  const body = new URLSearchParams({ text: text.value });
  try {
    const answer = await fetch("/configuration/check", {
      method: "POST", body, headers: { "X-CSRF-Token": form.elements.csrf.value, Accept: "application/json" },
    });
    if (!answer.ok) throw new Error(answer.statusText);
    const found = await answer.json();
    if (mine === asked) show(found);
  } catch {
    problems.textContent = form.dataset.away;
  }
}

text.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(check, WAIT_MS);
});
text.addEventListener("scroll", () => { lines.scrollTop = text.scrollTop; });
number(new Set([...document.querySelectorAll("[data-at]")].map((each) => Number(each.dataset.at))));
check();
