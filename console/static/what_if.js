// A what-if on its way: how far it is, every second; at its end the page is loaded again.
"use strict";

const bar = document.getElementById("progress");

async function look() {
  try {
    const answer = await fetch(`${location.pathname.replace(/\/(run|cancel)$/, "")}/progress`);
    const state = await answer.json();
    if (!state.running) return location.assign(location.pathname.replace(/\/(run|cancel)$/, ""));
    bar.max = state.total || 1;
    bar.value = state.done;
  } catch {
    // The console is away: ask again.
  }
  setTimeout(look, 1000);
}

look();
