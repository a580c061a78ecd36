// The card of one source: its picture, its figures, its last minutes. All text is set as text.

import { Chart } from "/chart.js";
import { Live } from "/live.js";

const OPEN = new Set(["starting", "ok", "degraded", "reconnecting", "paused"]);

export function isOpen(source) {
  return OPEN.has(source.of.state);
}

export function stateOf({ live, state }) {
  if (state === "ok") return live ? "live" : "reading";
  return state;
}

export function shown(value, digits = 0) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

export function totalOf(dropped) {
  return Object.values(dropped).reduce((sum, frames) => sum + frames, 0);
}

export function droppedOf(dropped) {
  const causes = Object.entries(dropped).filter(([, frames]) => frames);
  return causes.map(([cause, frames]) => `${frames} ${cause}`).join(", ") || "0";
}

function lostOf({ frames, dropped }) {
  const lost = totalOf(dropped);
  return lost ? `${shown((100 * lost) / (lost + frames), lost > frames / 10 ? 0 : 1)} %` : "0 %";
}

export function leftOf({ frames, expected, seconds }) {
  if (!expected || !frames) return "";
  const left = Math.max(0, Math.round((seconds / frames) * (expected - frames)));
  const minutes = Math.floor(left / 60);
  return minutes ? `${minutes} min ${left % 60} s left` : `${left} s left`;
}

export class Card {
  constructor(source, setup) {
    this.name = source.of.name;
    this.root = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.of(".name").textContent = this.name;
    this.canvas = this.of(".view canvas");
    this.canvas.setAttribute("aria-label", `Live picture of ${this.name}`);
    this.of(".enlarge").setAttribute("aria-label", `Enlarge ${this.name}`);
    this.of(".enlarge").addEventListener("click", () => this.enlarge());
    this.fps = new Chart(this.of(".fps canvas"), "--fps");
    this.age = new Chart(this.of(".age canvas"), "--age");
    for (const [at, fps, age] of setup.history[this.name] ?? []) {
      this.fps.add(at, fps);
      this.age.add(at, age);
    }
    this.live = new Live(this.name, this.canvas, setup);
    this.live.open();
  }

  of(selector) {
    return this.root.querySelector(selector);
  }

  put(selector, text) {
    const element = this.of(selector);
    if (element.textContent !== text) element.textContent = text;
  }

  enlarge() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.of(".view").requestFullscreen();
  }

  update(source, seconds) {
    const { of } = source;
    this.root.dataset.state = of.state;
    this.root.classList.toggle("recorded", !of.live);
    this.put(".state .text", stateOf(of));
    this.of(".reason").hidden = !of.reason;
    this.put(".reason", of.reason);
    if (source.width) this.canvas.style.aspectRatio = `${source.width} / ${source.height}`;
    this.put(".empty", this.live.drawn ? "" : "waiting for frames");
    this.put(".people", shown(source.people));
    this.put(".out", shown(source.fps_out, 1));
    this.put(".in", shown(source.fps_in, 1));
    this.put(".p50", shown(source.age_p50_ms));
    this.put(".p95", shown(source.age_p95_ms));
    this.put(".lost", lostOf(of));
    this.of(".wide").hidden = !totalOf(of.dropped);
    this.put(".dropped", droppedOf(of.dropped));
    this.updateProgress(of);
    this.updateCharts(source, seconds);
  }

  updateProgress(of) {
    this.of(".progress").hidden = of.live;
    if (of.live) return;
    const bar = this.of("progress");
    bar.setAttribute("aria-label", `Progress of ${this.name}`);
    if (of.expected) bar.value = Math.min(1, of.frames / of.expected);
    else bar.removeAttribute("value");
    const total = of.expected ? ` of ${of.expected}` : "";
    this.put(".progress p", [`${of.frames}${total} frames`, leftOf(of)].filter(Boolean).join(", "));
  }

  updateCharts(source, seconds) {
    this.fps.add(seconds, source.fps_out);
    this.age.add(seconds, source.age_p95_ms);
    for (const chart of [this.fps, this.age]) {
      chart.canvas.parentElement.hidden = chart.isEmpty;
      chart.draw();
    }
    const over = "over the last five minutes; now";
    this.of(".fps canvas").setAttribute("aria-label", `Frames a second ${over} ${shown(source.fps_out, 1)}`);
    this.of(".age canvas").setAttribute("aria-label", `Age ${over} ${shown(source.age_p95_ms)} milliseconds`);
  }

  leave() {
    this.live.leave();
    this.root.remove();
  }
}
