// One source on a canvas: asks for the next frame when the last is drawn and the canvas is in sight.

import { drawPeople } from "/people.js";

const RETRY_MS = [500, 1000, 2000, 5000];
const CALM_MS = 1000; // between frames for those who want less motion

export class Live {
  constructor(source, canvas, setup) {
    this.source = source;
    this.canvas = canvas;
    this.setup = setup;
    this.mode = "overlay";
    this.paused = false;
    this.drawn = 0;
    this.record = null;
    this.picture = null;
    this.socket = null;
    this.tries = 0;
    this.inSight = false;
    this.waits = false; // a frame was drawn, and the next is not asked for yet
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.sight = new IntersectionObserver(([entry]) => {
      this.inSight = entry.isIntersecting;
      this.ask();
    });
    this.sight.observe(canvas);
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(canvas);
  }

  open() {
    if (this.socket) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/view?source=${encodeURIComponent(this.source)}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.tries = 0;
      this.waits = true;
      this.ask();
    };
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.retry = setTimeout(() => this.open(), RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]);
    };
    this.socket = socket;
  }

  close() {
    clearTimeout(this.retry);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  leave() {
    this.close();
    this.sight.disconnect();
    this.size.disconnect();
  }

  show(mode, paused) {
    this.mode = mode;
    this.paused = paused;
    this.draw();
    this.ask();
  }

  ask() {
    if (!this.waits || !this.inSight || this.paused || this.socket?.readyState !== WebSocket.OPEN) return;
    this.waits = false;
    this.socket.send(this.mode === "skeleton" ? "record" : "picture");
  }

  async take(data) {
    const length = new DataView(data).getUint32(0);
    this.record = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const jpeg = new Uint8Array(data, 4 + length);
    const picture = jpeg.length ? await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })) : null;
    this.picture?.close();
    this.picture = picture;
    // Not drawn, and so not asked for, while the tab is hidden.
    requestAnimationFrame(() => {
      this.drawn++;
      this.draw();
      setTimeout(() => {
        this.waits = true;
        this.ask();
      }, this.calm.matches ? CALM_MS : 0);
    });
  }

  draw() {
    const { canvas } = this;
    const density = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * density);
    const height = Math.round(canvas.clientHeight * density);
    if (!width || !height || !this.record) return;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    if (this.mode !== "skeleton" && this.picture) context.drawImage(this.picture, 0, 0, width, height);
    else {
      context.fillStyle = "#0b0e12";
      context.fillRect(0, 0, width, height);
    }
    if (this.mode !== "picture") drawPeople(context, this.record, this.setup);
  }
}
