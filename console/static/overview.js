// The live chart of the overview: stacked bars of decisions a minute, from /live, every two seconds.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 160, AXIS = 16, COLOURS = 8;
const chart = document.getElementById("chart");
const legend = document.getElementById("legend");

function draw(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Shanghai" });
}

let latest = null;

function show(figures) {
  latest = figures;
  const ids = figures.funders.map((funder) => funder.id);
  const minutes = figures.minutes;
  const sums = minutes.map((minute) => Object.values(minute.funders).reduce((sum, each) => sum + each, 0));
  const most = Math.max(1, ...sums);
  const width = chart.clientWidth;
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const bar = width / minutes.length, full = HEIGHT - 2 * AXIS;
  const drawn = [draw("text", { x: 0, y: 12, class: "label" }, String(most))];
  minutes.forEach((minute, n) => {
    let top = HEIGHT - AXIS;
    ids.forEach((id, colour) => {
      const height = ((minute.funders[id] || 0) / most) * full;
      if (height === 0) return;
      top -= height;
      drawn.push(draw("rect", { x: n * bar + 1, y: top, width: bar - 2, height, class: `fill-${colour % COLOURS}` }));
    });
    if (n % 15 === 0) drawn.push(draw("text", { x: n * bar, y: HEIGHT - 3, class: "label" }, clock(minute.at)));
  });
  for (const marker of figures.markers) {
    const x = ((marker.at - minutes[0].at) / 60000) * bar;
    const line = draw("line", { x1: x, x2: x, y1: AXIS, y2: HEIGHT - AXIS, class: "marker" });
    const words = `${legend.dataset.change} ${marker.revision}, ${marker.author}: ${marker.reason}`;
    line.append(draw("title", {}, words));
    drawn.push(line, draw("text", { x: x + 2, y: 12, class: "label" }, String(marker.revision)));
  }
  chart.replaceChildren(...drawn);
  legend.replaceChildren(...ids.map((id, colour) => {
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = `swatch back-${colour % COLOURS}`;
    item.append(swatch, id);
    return item;
  }));
  for (const [name, number] of Object.entries(figures.totals)) {
    document.querySelector(`[data-total="${name}"]`).textContent = number;
  }
  for (const funder of figures.funders) fill(funder);
}

function fill(funder) {
  const row = document.querySelector(`[data-funder="${CSS.escape(funder.id)}"]`);
  if (row === null) return;
  const none = "–";
  const figures = {
    routed: funder.routed.toLocaleString("en-US"),
    share: funder.share === null ? none : `${(100 * funder.share).toFixed(1)}%`,
    amount: funder.amount === null ? none : (funder.amount / 100).toLocaleString("en-US"),
    count: funder.count === null ? none : funder.count.toLocaleString("en-US"),
  };
  for (const [name, value] of Object.entries(figures)) {
    row.querySelector(`[data-figure="${name}"]`).textContent = value;
  }
}

async function refresh() {
  try {
    const answer = await fetch("/live", { headers: { Accept: "application/json" } });
    if (answer.redirected || !answer.ok) return location.reload();
    show(await answer.json());
  } catch {
    // The console is away for a moment: the next time tells.
  }
  setTimeout(refresh, 2000);
}

addEventListener("resize", () => { if (latest !== null) show(latest); });
refresh();
